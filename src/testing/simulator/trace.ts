import type { Instant, Log, LogFields } from "../../base/index.ts";

/** What is kept of a run, for whoever has to find out why it failed. */
const KEPT = 4000;

/** All that happened in a run, as a number to compare runs by, and the last of it in words. */
export class Trace {
  readonly #lines: string[] = [];
  /** Of the lines, milliseconds since the start. */
  readonly #times: number[] = [];
  readonly #now: () => Instant;
  readonly #start: Instant;
  #count = 0;
  #high = 0xdeadbeef;
  #low = 0x41c6ce57;

  constructor(now: () => Instant) {
    this.#now = now;
    this.#start = now();
  }

  /** `text` on one line. */
  note(who: string, what: string, text: string = ""): void {
    const at = this.#now() - this.#start;
    const line = `${who} ${what} ${text}`;
    this.#times[this.#count % KEPT] = at;
    this.#lines[this.#count % KEPT] = line;
    this.#count++;
    let high = this.#high ^ Math.floor(at * 1000);
    let low = this.#low;
    for (let at = 0; at < line.length; at++) {
      const code = line.charCodeAt(at);
      high = Math.imul(high ^ code, 2_654_435_761);
      low = Math.imul(low ^ code, 1_597_334_677);
    }
    this.#high = high ^ (low >>> 15);
    this.#low = low ^ (high >>> 13);
  }

  /** The same for two runs only if they were the same. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  /** The last `count` lines. */
  last(count: number): string[] {
    const from = Math.max(0, this.#count - Math.min(count, KEPT));
    const lines: string[] = [];
    for (let at = from; at < this.#count; at++) {
      const seconds = (this.#times[at % KEPT] ?? 0) / 1000;
      lines.push(`${seconds.toFixed(3)} ${this.#lines[at % KEPT] ?? ""}`);
    }
    return lines;
  }

  /** A log that writes here. `heard` is told of each event as well. */
  log(who: string, heard: (event: string, fields: LogFields) => void = () => {}): Log {
    return new TraceLog(this, who, {}, heard);
  }
}

function hex(number: number): string {
  return (number >>> 0).toString(16).padStart(8, "0");
}

/** Without debug events: there are many, and nothing hangs on them. */
class TraceLog implements Log {
  readonly #trace: Trace;
  readonly #who: string;
  readonly #with: LogFields;
  readonly #heard: (event: string, fields: LogFields) => void;

  constructor(trace: Trace, who: string, fields: LogFields, heard: (event: string, fields: LogFields) => void) {
    this.#trace = trace;
    this.#who = who;
    this.#with = fields;
    this.#heard = heard;
  }

  debug(): void {}

  info(event: string, fields: LogFields = {}): void {
    this.#note(event, fields);
  }

  warn(event: string, fields: LogFields = {}): void {
    this.#note(event, fields);
  }

  error(event: string, fields: LogFields = {}): void {
    this.#note(event, fields);
  }

  child(fields: LogFields): Log {
    return new TraceLog(this.#trace, this.#who, { ...this.#with, ...fields }, this.#heard);
  }

  #note(event: string, fields: LogFields): void {
    this.#heard(event, fields);
    let text = "";
    for (const key in this.#with) text += `${key}=${shown(this.#with[key])} `;
    for (const key in fields) text += `${key}=${shown(fields[key])} `;
    this.#trace.note(this.#who, event, text);
  }
}

function shown(value: LogFields[string]): string {
  if (value instanceof Error) return value.message;
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}
