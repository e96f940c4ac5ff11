import { asError, type Clock, type Instant, type Log, SECOND, type Timer } from "../base/index.ts";
import { events } from "./events.ts";
import type { SendingFile } from "./sending-file.ts";
import { SendingTally } from "./sending-tally.ts";

export interface SendingLedgerOptions {
  readonly file: SendingFile;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long what was counted may be in memory alone: what a crash forgives, and another worker does not know. */
const SAVE_AFTER = 2 * SECOND;
/** The wait where that failed. */
const SAVE_AGAIN = 10 * SECOND;

/** Users and addresses in memory; idle ones are read again when they come again. */
const MAX_TALLIES = 10_000;

interface Known {
  readonly tally: SendingTally;
  /** Of the file, when it was read. */
  version: number;
}

/** The tallies of all, and what of them is not written down yet. */
export class SendingLedger {
  readonly #options: SendingLedgerOptions;
  readonly #tallies = new Map<string, Known>();
  readonly #dirty = new Set<string>();
  /** By user and hash in hex. */
  readonly #written = new Map<string, readonly [user: string, recipient: Uint8Array]>();
  #timer: Timer | null = null;
  /** The file could not be read, which is told once. */
  #unreadable = false;

  constructor(options: SendingLedgerOptions) {
    this.#options = options;
  }

  /** Throws where it has to be read and cannot be; never for a key that is in use, whose mail may have been taken by now. */
  tally(key: string): SendingTally {
    const { file } = this.#options;
    const known = this.#tallies.get(key);
    if (known !== undefined) return this.#refreshed(key, known);
    if (this.#tallies.size >= MAX_TALLIES) this.#shrink();
    const version = file.version();
    const entry = { tally: new SendingTally(file.tally(key)), version };
    this.#tallies.set(key, entry);
    return entry.tally;
  }

  /** With what other processes wrote, if that can be read. */
  #refreshed(key: string, known: Known): SendingTally {
    const { file } = this.#options;
    try {
      const version = file.version();
      if (known.version !== version) known.tally.refresh(file.tally(key));
      known.version = version;
      this.#unreadable = false;
    } catch (thrown) {
      if (!this.#unreadable) this.#failed(thrown);
      this.#unreadable = true;
    }
    return known.tally;
  }

  /** Whether the user did not write to this recipient within the days that the file remembers; by hash. Throws where it cannot be read. */
  isNew(user: string, recipient: Uint8Array, now: Instant): boolean {
    return !this.#written.has(writtenKey(user, recipient)) && !this.#options.file.knows(user, recipient, now);
  }

  /** What its tally counts is to be written down. */
  changed(key: string): void {
    this.#dirty.add(key);
    this.#timer ??= this.#options.clock.after(SAVE_AFTER, () => this.save());
  }

  /** Beside `changed`: the recipient is known from now on. */
  wrote(user: string, recipient: Uint8Array): void {
    this.#written.set(writtenKey(user, recipient), [user, recipient]);
  }

  /** Writes down now what is not; where that fails it is tried again, and meanwhile all counts on in memory. */
  save(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const dirty = [...this.#dirty].flatMap((key) => {
      const tally = this.#tallies.get(key)?.tally;
      return tally === undefined ? [] : [[key, tally] as const];
    });
    if (dirty.length === 0) return;
    const counts = dirty.map(([key, tally]) => [key, tally.unsaved()] as const);
    try {
      this.#options.file.save({ counts, written: this.#written.values() }, this.#options.clock.now());
      for (const [, tally] of dirty) tally.saved();
      this.#dirty.clear();
      this.#written.clear();
    } catch (thrown) {
      this.#failed(thrown);
      this.#timer = this.#options.clock.after(SAVE_AGAIN, () => this.save());
    }
  }

  #failed(thrown: unknown): void {
    const error = asError(thrown);
    this.#options.log.error(events.limitsFailed, { error });
  }

  close(): void {
    this.save();
    this.#timer?.cancel();
    this.#options.file.close();
  }

  #shrink(): void {
    this.save();
    for (const [key, { tally }] of this.#tallies) {
      if (this.#tallies.size <= MAX_TALLIES / 2) return;
      if (tally.idle) this.#tallies.delete(key);
    }
  }
}

function writtenKey(user: string, recipient: Uint8Array): string {
  return `${Buffer.from(recipient).toString("hex")} ${user}`;
}
