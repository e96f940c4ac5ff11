import { z } from "zod";
import { ACTIONS, MAX_LIST } from "./operations.ts";

/** Octets of one request; a peer that sends more is cut off. */
export const MAX_REQUEST = 64 * 1024;

/** Octets of one answer: `MAX_LIST` messages with many recipients each fit. */
export const MAX_ANSWER = 256 * 1024 * 1024;

/** What is asked over the control socket: one JSON object a line, answered in order. */
export const requestSchema = z.discriminatedUnion("operation", [
  z.strictObject({
    operation: z.literal("list"),
    limit: z.int().min(1).max(MAX_LIST),
    after: z.string().optional(),
    address: z.string().optional(),
  }),
  z.strictObject({ operation: z.literal("show"), id: z.string() }),
  z.strictObject({
    operation: z.literal("history"),
    limit: z.int().min(1).max(MAX_LIST),
    of: z.string().optional(),
  }),
  z.strictObject({
    operation: z.literal("act"),
    action: z.enum(ACTIONS),
    target: z.union([
      z.strictObject({ id: z.string() }),
      z.strictObject({ all: z.literal(true) }),
      z.strictObject({
        filter: z.strictObject({
          domain: z.string().optional(),
          sender: z.string().optional(),
          olderThan: z.number().min(0).optional(),
          reply: z.string().optional(),
        }),
      }),
    ]),
    dryRun: z.boolean().optional(),
    override: z
      .strictObject({
        kind: z.enum(["smtp", "smtps", "lmtp"]),
        host: z.string(),
        port: z.int().min(1).max(65_535),
        tls: z.enum(["off", "opportunistic", "encrypted", "verified", "dane"]),
      })
      .nullable()
      .optional(),
  }),
  z.strictObject({ operation: z.literal("counts") }),
]);
export type Request = z.output<typeof requestSchema>;

/** The answer to one request. */
export type Answer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: string };

/** Cuts octets into lines, however they arrive, and never holds more than `limit` octets of one. */
export class JsonLines {
  readonly #limit: number;
  #pending: Uint8Array[] = [];
  #held = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The lines completed by `bytes`, or null when one is too long; after that the decoder is spent. */
  push(bytes: Uint8Array): readonly string[] | null {
    const lines: string[] = [];
    let from = 0;
    for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, from)) {
      this.#pending.push(bytes.subarray(from, at));
      if (this.#held + at - from > this.#limit) return null;
      lines.push(Buffer.concat(this.#pending).toString("utf8"));
      this.#pending = [];
      this.#held = 0;
      from = at + 1;
    }
    if (from < bytes.length) this.#pending.push(bytes.subarray(from));
    this.#held += bytes.length - from;
    return this.#held > this.#limit ? null : lines;
  }
}

const LF = 0x0a;
