import { printable } from "../base/index.ts";

/** How a command ended. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** The most characters of one line of complaint. */
const MAX_LINE = 1000;

/** Writes lines to standard output. */
export function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** Writes a value as JSON to standard output, for other programs. */
export function printJson(value: unknown): void {
  print(json(value));
}

/**
 * What `JSON.stringify` leaves as it is, and `printable` would not: controls beyond ASCII, of which U+009B begins a command to a terminal,
 * and what turns the direction of writing. Escaped it is the same value.
 */
const UNSAFE = /[\u007f-\u009f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]/g;

function json(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(
    UNSAFE,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Writes an array of values as `printJson` does, a part at a time; `end` closes it. */
export function jsonArray(): { add(values: readonly unknown[]): void; end(): void } {
  let opened = false;
  return {
    add(values) {
      for (const value of values) {
        process.stdout.write(`${opened ? "," : "["}\n  ${json(value).replaceAll("\n", "\n  ")}`);
        opened = true;
      }
    },
    end: () => print(opened ? "\n]" : "[]"),
  };
}

/** One plain line on standard error: what, where, what to do. Escapes in it cannot reach the terminal. */
export function complain(text: string): void {
  process.stderr.write(`postern: ${printable(text, MAX_LINE)}\n`);
}

/**
 * Columns of text, each as wide as its widest cell; the last one is not padded. Escapes in cells are made harmless. Parts of one table
 * share `widths`, which grow.
 */
export function table(rows: readonly (readonly string[])[], widths: number[] = []): readonly string[] {
  const safe = rows.map((row) => row.map((cell) => printable(cell)));
  for (const row of safe) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return safe.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** All of standard input. */
export async function readInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Splits a password line off the start of standard input; the line end, LF or CRLF, belongs to neither part. */
export function splitPassword(input: Uint8Array): { readonly password: string; readonly rest: Uint8Array } {
  const end = input.indexOf(0x0a);
  const line = Buffer.from(end === -1 ? input : input.subarray(0, end)).toString("utf8");
  return { password: line.replace(/\r$/, ""), rest: end === -1 ? new Uint8Array(0) : input.subarray(end + 1) };
}
