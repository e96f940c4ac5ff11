// Values of SQLite columns as what the tables say they are; anything else is a file that somebody else wrote.
import { type Instant, instant } from "../base/index.ts";

export function textOf(value: unknown): string {
  if (typeof value !== "string") throw new Error("a column of the trust file is no text");
  return value;
}

export function textOrNull(value: unknown): string | null {
  return value === null ? null : textOf(value);
}

export function integerOf(value: unknown): number {
  if (typeof value !== "number") throw new Error("a column of the trust file is no number");
  return value;
}

export function instantOf(value: unknown): Instant {
  return instant(integerOf(value));
}
