import { messageOf } from "../../base/index.ts";
import { StoreError } from "../store.ts";
import type { Failure } from "./protocol.ts";

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_READONLY = 8;
const SQLITE_FULL = 13;
const SQLITE_CONSTRAINT = 19;

/** What an exception of SQLite means to whoever asked. Extended result codes carry the primary one in the low octet. */
export function failureOf(error: unknown): Failure {
  const text = messageOf(error);
  switch (primaryCode(error)) {
    case SQLITE_FULL:
      return { kind: "full", text };
    case SQLITE_READONLY:
      return { kind: "readOnly", text };
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return { kind: "busy", text };
    default:
      return { kind: "broken", text };
  }
}

/**
 * True when the file handle may no longer be trusted. After a failed sync the pages that did not reach the disk are marked
 * clean, and a second sync on the same handle would report a success that never happened. A handle that was opened while the disk was
 * read-only stays so, whatever the disk becomes.
 */
export function spoilsHandle(error: unknown): boolean {
  const code = primaryCode(error);
  if (code === null) return false;
  return ![SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_CONSTRAINT].includes(code);
}

export function storeError(failure: Failure): StoreError {
  return new StoreError(failure.kind, failure.text);
}

function primaryCode(error: unknown): number | null {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return null;
  return error.errcode & 0xff;
}
