import { err, ok, type Result } from "../base/index.ts";
import type { Mailbox } from "./address.ts";
import { mailTable, type ParameterRow, rcptTable } from "./parameter-tables.ts";

/** What MAIL may carry (RFC 5321 §4.1.2 esmtp-param). A key is present only when the client gave the parameter. */
export interface MailParameters {
  /** Declared octets (RFC 1870 §6). */
  readonly size?: number;
  /** RFC 6152 §3, RFC 3030 §3. */
  readonly body?: "7BIT" | "8BITMIME" | "BINARYMIME";
  /** RFC 6531 §3.1. */
  readonly smtputf8?: true;
  /** Who submitted it first; null is `AUTH=<>` (RFC 4954 §5). */
  readonly auth?: Mailbox | null;
  /** RFC 3461 §4.3. */
  readonly ret?: "FULL" | "HDRS";
  /** Decoded from xtext (RFC 3461 §4.4). */
  readonly envid?: string;
  /** RFC 8689 §2. */
  readonly requireTls?: true;
  /** Seconds from MAIL on, what to do when they are over (return or notify), and whether each hop reports (RFC 2852 §4). */
  readonly by?: { readonly seconds: number; readonly mode: "R" | "N"; readonly trace: boolean };
  /** Not to be sent before then: seconds from MAIL on, or a time as given, in UTC (RFC 4865 §3). */
  readonly hold?: { readonly for: number } | { readonly until: string };
  /** From -9 to 9, 0 where none was given (RFC 6710 §3). */
  readonly priority?: number;
}

/** What RCPT may carry. */
export interface RcptParameters {
  /** RFC 3461 §4.1; never empty; NEVER stands alone. */
  readonly notify?: readonly ("NEVER" | "SUCCESS" | "FAILURE" | "DELAY")[];
  /** RFC 3461 §4.2, decoded from xtext, or from the `utf-8` form of RFC 6533 §3; `type` in lower case. */
  readonly orcpt?: { readonly type: string; readonly address: string };
}

export type ParameterProblem =
  /** 555: a parameter nobody here knows, or one whose extension was not offered. */
  | { readonly kind: "unknown"; readonly keyword: string }
  /** 501: known, and its value is wrong. */
  | { readonly kind: "badValue"; readonly keyword: string; readonly expected: string }
  /** 501: given twice. */
  | { readonly kind: "repeated"; readonly keyword: string };

/** A parameter before it is understood: `KEYWORD` or `KEYWORD=value`; keyword upper-cased. */
export interface RawParameter {
  readonly keyword: string;
  readonly value: string | null;
}

/**
 * Understands parameters by the ordered tables; `offered` are EHLO keywords, and a parameter of one not offered is unknown
 * (RFC 5321 §4.1.1.11).
 */
export function readMailParameters(
  raw: readonly RawParameter[],
  offered: ReadonlySet<string>,
): Result<MailParameters, ParameterProblem> {
  return read(mailRows, raw, offered);
}

export function readRcptParameters(
  raw: readonly RawParameter[],
  offered: ReadonlySet<string>,
): Result<RcptParameters, ParameterProblem> {
  return read(rcptRows, raw, offered);
}

/** The parameters as a client writes them, in table order, each with a leading space; `""` when there are none. */
export function formatMailParameters(parameters: MailParameters): string {
  return format(mailTable, parameters);
}

export function formatRcptParameters(parameters: RcptParameters): string {
  return format(rcptTable, parameters);
}

// Maps, because the keys asked for are a peer's text.
const mailRows = byKeyword(mailTable);
const rcptRows = byKeyword(rcptTable);

function byKeyword<P>(table: readonly ParameterRow<P>[]): ReadonlyMap<string, ParameterRow<P>> {
  return new Map(table.map((row) => [row.keyword, row]));
}

function read<P extends object>(
  rows: ReadonlyMap<string, ParameterRow<P>>,
  raw: readonly RawParameter[],
  offered: ReadonlySet<string>,
): Result<Partial<P>, ParameterProblem> {
  const parameters: Partial<P> = {};
  const seen = new Set<string>();
  for (const { keyword, value } of raw) {
    const row = rows.get(keyword);
    if (row === undefined || !offered.has(row.extension)) return err({ kind: "unknown", keyword });
    if (seen.has(keyword)) return err({ kind: "repeated", keyword });
    seen.add(keyword);
    const understood = row.read(value, offered);
    if (understood === null) return err({ kind: "badValue", keyword, expected: row.expected });
    // Two keywords may say the same thing, once (RFC 4865 §4.2: HOLDFOR and HOLDUNTIL).
    if (Object.keys(understood).some((key) => Object.hasOwn(parameters, key)))
      return err({ kind: "repeated", keyword });
    Object.assign(parameters, understood);
  }
  return ok(parameters);
}

function format<P>(table: readonly ParameterRow<P>[], parameters: P): string {
  let text = "";
  for (const row of table) {
    const value = row.write(parameters);
    if (value !== null) text += value === true ? ` ${row.keyword}` : ` ${row.keyword}=${value}`;
  }
  return text;
}
