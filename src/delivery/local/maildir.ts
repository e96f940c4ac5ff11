import { type FileHandle, mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type Clock, concatBytes } from "../../base/index.ts";
import { formatField, formatReturnPath } from "../../message/index.ts";
import type { Body } from "../../queue/index.ts";
import { formatMailbox, type Mailbox, type ReversePath } from "../../smtp/index.ts";
import { DirectorySync, syncDirectory } from "./directory-sync.ts";

/** Bodies up to this many octets are written in one call. */
const ONE_WRITE = 256 * 1024;

export interface MaildirOptions {
  /** Our own name, part of each file's name. */
  readonly hostname: string;
  readonly clock: Clock;
  /** Default: this process's. */
  readonly processId?: number;
}

/** One message for one mailbox. */
export interface MaildirDelivery {
  /** The Maildir: holds `tmp`, `new` and `cur`, which are made where missing. */
  readonly folder: string;
  readonly reversePath: ReversePath;
  readonly recipient: Mailbox;
  readonly body: Body;
}

/**
 * Writes messages into Maildirs: `tmp`, sync of the file, rename into `new`, sync of both directories; only then is a
 * message delivered. A reader never sees half a message, and a crash leaves at most a file in `tmp`.
 *
 * The octets are those that were sent, CRLF included, behind a Return-Path and a Delivered-To field: docs/decisions/maildir-newlines.md.
 */
export class Maildir {
  readonly #options: MaildirOptions;
  readonly #directories = new DirectorySync();
  readonly #folders = new FolderMaking();
  #deliveries = 0;

  constructor(options: MaildirOptions) {
    this.#options = options;
  }

  /** Resolves to the path of the file, safe on the disk. Rejects with the error of the file system, having left nothing in `new`. */
  async deliver(delivery: MaildirDelivery): Promise<string> {
    const folder = resolve(delivery.folder);
    const fields = concatBytes([
      formatReturnPath(delivery.reversePath),
      formatField("Delivered-To", [[formatMailbox(delivery.recipient)]]),
    ]);
    const name = this.#uniqueName(fields.length + delivery.body.size);
    const temporary = join(folder, "tmp", name);
    const final = join(folder, "new", name);
    const handle = await this.#withFolders(folder, () => open(temporary, "wx", 0o600));
    await writeSynced(handle, temporary, fields, delivery.body);
    try {
      await this.#withFolders(folder, () => rename(temporary, final));
    } catch (error) {
      await discard(temporary);
      throw error;
    }
    await Promise.all([this.#directories.sync(join(folder, "new")), this.#directories.sync(join(folder, "tmp"))]);
    return final;
  }

  /** The three directories are made when the first message comes, and again where somebody took one away. */
  async #withFolders<T>(folder: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
    await this.#folders.make(folder);
    return await act();
  }

  /** `SECONDS.MmicrosecondsPpidQcount.host,S=size`, as other Maildir programs write and read it. */
  #uniqueName(size: number): string {
    const now = this.#options.clock.now();
    const seconds = Math.floor(now / 1000);
    const micros = (now % 1000) * 1000;
    const host = this.#options.hostname.replace(/\//g, "\\057").replace(/:/g, "\\072");
    const unique = `M${micros}P${this.#options.processId ?? process.pid}Q${++this.#deliveries}`;
    return `${seconds}.${unique}.${host},S=${size}`;
  }
}

/**
 * Makes the directories of Maildirs, one Maildir after the other: a delivery that found a folder which another one had just
 * made, and not yet synced, would report mail as safe whose folder a power cut can still take away.
 */
class FolderMaking {
  readonly #running = new Map<string, Promise<void>>();
  #last: Promise<void> = Promise.resolve();

  make(folder: string): Promise<void> {
    return this.#running.get(folder) ?? this.#queue(folder);
  }

  #queue(folder: string): Promise<void> {
    const making = this.#last.then(() => makeMaildir(folder)).finally(() => this.#running.delete(folder));
    this.#running.set(folder, making);
    // Whoever asked hears of a failure; the next one begins in any case.
    this.#last = making.catch(() => {});
    return making;
  }
}

/** `tmp` comes last: who can open a file there will find the other two. */
async function makeMaildir(folder: string): Promise<void> {
  for (const part of ["new", "cur", "tmp"]) await makeDirectory(join(folder, part));
}

/**
 * Makes a directory and those missing above it, each name synced, so that mail in it cannot vanish with its folder. Not by
 * Node's recursive `mkdir`, which never ends where a file system answers ENOENT below a folder that exists.
 */
async function makeDirectory(path: string): Promise<void> {
  if (!(await tryMakeDirectory(path))) {
    if (dirname(path) === path) throw new Error("the root folder is missing");
    await makeDirectory(dirname(path));
    if (!(await tryMakeDirectory(path))) throw new Error(`no folder can be made in ${dirname(path)}`);
  }
  await syncDirectory(dirname(path));
}

/** False where a folder above is missing. */
async function tryMakeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return false;
    // What stands there already may also be a file: opening in it will say so.
    if (code !== "EEXIST") throw error;
  }
  return true;
}

async function writeSynced(handle: FileHandle, path: string, fields: Uint8Array, body: Body): Promise<void> {
  try {
    try {
      await write(handle, fields, body);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    await discard(path);
    throw error;
  }
}

async function write(handle: FileHandle, fields: Uint8Array, body: Body): Promise<void> {
  let written = 0;
  if (body.size <= ONE_WRITE) {
    const parts = [fields];
    for await (const chunk of body.chunks()) {
      parts.push(chunk);
      written += chunk.length;
    }
    await handle.writeFile(concatBytes(parts));
  } else {
    await handle.writeFile(fields);
    for await (const chunk of body.chunks()) {
      await handle.writeFile(chunk);
      written += chunk.length;
      body.release?.(chunk);
    }
  }
  // A body cut short by a broken store must not pass for the message.
  if (written !== body.size) throw new Error(`the stored body has ${written} octets where ${body.size} were promised`);
}

async function discard(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch {
    // The delivery has failed already and says why; a file left in tmp is harmless.
  }
}

/** The `code` of a Node file system error (`ENOSPC`), or null for any other error. */
export function errorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}
