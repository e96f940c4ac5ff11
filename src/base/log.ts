/**
 * A structured log. `event` is a stable dotted name of the tables in `events.ts` of each folder` (log events are an interface);
 * `fields` never hold a secret or a message body. Text that came from a peer goes through `printable` first.
 */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log whose every line also carries `fields` (a session id, a queue id). */
  child(fields: LogFields): Log;
}

export type LogFields = Readonly<Record<string, LogValue | undefined>>;
export type LogValue =
  | string
  | number
  | boolean
  | null
  | Error
  | readonly LogValue[]
  | { readonly [key: string]: LogValue | undefined };

/** A log that keeps nothing, for libraries that were given none. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

/** The most characters of a peer's text that go into a log line, a status or a report. */
const MAX_PRINTABLE = 512;

/** A peer's text made safe to write on one line: controls and line separators escaped, length capped. */
export function printable(text: string, limit: number = MAX_PRINTABLE): string {
  const capped = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return capped.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
