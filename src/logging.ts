import { createRequire } from "node:module";
import { type DestinationStream, type Logger, pino } from "pino";
import type { build } from "pino-pretty";
import type { Log, LogFields } from "./base/index.ts";

/** How log lines look: JSON for machines, "pretty" for people, "auto": pretty on a terminal. */
export interface LogSettings {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly format: "json" | "pretty" | "auto";
}

/** A log whose level may be changed, for all its children as well. */
export interface LeveledLog extends Log {
  setLevel(level: LogSettings["level"]): void;
  child(fields: LogFields): LeveledLog;
}

/**
 * The daemon's log, on standard output. One line an event: `event` is its stable name, the rest are its fields. An exception
 * is written with its stack; it goes no further than this.
 */
export function makeLog(settings: LogSettings, destination?: DestinationStream): LeveledLog {
  const forPeople = settings.format === "pretty" || (settings.format === "auto" && process.stdout.isTTY);
  const options = {
    level: settings.level,
    base: null,
    messageKey: "event",
    timestamp: timeField,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!forPeople) return new PinoLog(pino(options, destination ?? standardOutput()), {});
  // Loaded where people read, which a service seldom has: it is three dozen files.
  const pretty: typeof build = createRequire(import.meta.url)("pino-pretty");
  const stream = pretty({
    colorize: process.stdout.isTTY,
    messageKey: "event",
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    destination: destination ?? process.stdout,
  });
  return new PinoLog(pino(options, stream), {});
}

/**
 * Standard output, with the lines of one turn of the event loop written at once: a busy turn logs dozens, and each write is a call of the
 * system. What is still here when the process ends is written then, however it ends but for SIGKILL.
 */
function standardOutput(): DestinationStream {
  let lines = "";
  const flush = (): void => {
    const text = lines;
    lines = "";
    if (text !== "") process.stdout.write(text);
  };
  process.once("exit", flush);
  return {
    write(line) {
      if (lines === "") setImmediate(flush);
      lines += line;
      if (lines.length >= MAX_GATHERED) flush();
    },
  };
}

/** Characters of log that are gathered at most. */
const MAX_GATHERED = 65_536;

/** When, in the form of RFC 3339 with milliseconds, as pino wants it: a piece of JSON. */
function timeField(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== lastTime.second) {
    lastTime = { second, text: `,"time":"${new Date(now).toISOString().slice(0, "YYYY-MM-DDTHH:MM:SS.".length)}` };
  }
  return `${lastTime.text}${String(now % 1000).padStart(3, "0")}Z"`;
}

/** All up to the milliseconds, which the lines of one second have in common. */
let lastTime: { readonly second: number; readonly text: string } = { second: Number.NaN, text: "" };

/** A child holds its fields and no more: there is one for each connection, and one of pino's own weighs ten times as much. */
class PinoLog implements LeveledLog {
  readonly #logger: Logger;
  readonly #fields: LogFields;

  constructor(logger: Logger, fields: LogFields) {
    this.#logger = logger;
    this.#fields = fields;
  }

  debug(event: string, fields?: LogFields): void {
    if (this.#logger.isLevelEnabled("debug")) this.#logger.debug(toPino({ ...this.#fields, ...fields }), event);
  }

  info(event: string, fields?: LogFields): void {
    if (this.#logger.isLevelEnabled("info")) this.#logger.info(toPino({ ...this.#fields, ...fields }), event);
  }

  warn(event: string, fields?: LogFields): void {
    if (this.#logger.isLevelEnabled("warn")) this.#logger.warn(toPino({ ...this.#fields, ...fields }), event);
  }

  error(event: string, fields?: LogFields): void {
    this.#logger.error(toPino({ ...this.#fields, ...fields }), event);
  }

  setLevel(level: LogSettings["level"]): void {
    this.#logger.level = level;
  }

  child(fields: LogFields): LeveledLog {
    return new PinoLog(this.#logger, { ...this.#fields, ...fields });
  }
}

/** pino writes an `Error` in full only under the key `err`. */
function toPino(fields: LogFields): object {
  const error = fields.error;
  if (!(error instanceof Error)) return fields;
  const { error: _, ...rest } = fields;
  return { ...rest, err: error };
}
