import { assert, decodeUtf8, err, printable, type Result, SPACE } from "../base/index.ts";
import type { AddressProblem, ForwardPath, ReversePath } from "./address.ts";
import { argumentParsers } from "./command-arguments.ts";
import { isHttpWord } from "./http.ts";
import type { RawParameter } from "./parameters.ts";
import { encodeLine, hasControls } from "./text.ts";
import type { XclientAttributes } from "./xclient.ts";

/** Every verb that this language knows, whether a service offers it or not. */
export type Verb =
  | "EHLO"
  | "HELO"
  | "LHLO"
  | "STARTTLS"
  | "AUTH"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "BDAT"
  | "RSET"
  | "NOOP"
  | "QUIT"
  | "VRFY"
  | "EXPN"
  | "HELP"
  | "ETRN"
  | "XCLIENT";

export type Command =
  /** `client` is one word of printable ASCII, at most 255 octets; it proves nothing and need not be a domain. */
  | { readonly verb: "EHLO" | "HELO" | "LHLO"; readonly client: string }
  /** `mechanism` in upper case; `initial` still in base64 (or `=`), unchecked (RFC 4954 §4). */
  | { readonly verb: "AUTH"; readonly mechanism: string; readonly initial: string | null }
  | { readonly verb: "MAIL"; readonly reversePath: ReversePath; readonly parameters: readonly RawParameter[] }
  | { readonly verb: "RCPT"; readonly forwardPath: ForwardPath; readonly parameters: readonly RawParameter[] }
  /** RFC 3030 §2; `size` in octets. */
  | { readonly verb: "BDAT"; readonly size: number; readonly last: boolean }
  | { readonly verb: "STARTTLS" | "DATA" | "RSET" | "QUIT" }
  | { readonly verb: "NOOP" | "HELP"; readonly argument: string | null }
  | { readonly verb: "VRFY" | "EXPN" | "ETRN"; readonly argument: string }
  | { readonly verb: "XCLIENT"; readonly attributes: XclientAttributes };

export type CommandProblem =
  /** 500: no verb of ours. `verb` is what stood there, made printable. */
  | { readonly kind: "unknownVerb"; readonly verb: string }
  /** 501, the verb being known: argument missing, left over, or of the wrong form. */
  | { readonly kind: "badArgument"; readonly verb: Verb; readonly expected: string }
  /** 501/553 with the address at fault. Places count from the start of the argument. */
  | { readonly kind: "badAddress"; readonly verb: "MAIL" | "RCPT"; readonly problem: AddressProblem }
  /** 500: NUL, other controls, or octets that are not UTF-8. */
  | { readonly kind: "badOctets" }
  /** An HTTP request line or header: the connection must be closed (cross-protocol attack). */
  | { readonly kind: "http" };

const TAB = 0x09;

/** The most of an unknown verb that is repeated in a reply or a log. */
const MAX_UNKNOWN_VERB = 32;

// A Map, because the words looked up are a peer's text.
const verbs: ReadonlyMap<string, (argument: string) => Result<Command, CommandProblem>> = new Map(
  Object.entries(argumentParsers),
);

/**
 * Parses one command line, given without its CRLF. Verbs have no case, and white space before the CRLF is passed over
 * (RFC 5321 §2.4, §4.1.1).
 *
 * Deviation: several spaces between words count as one, because old clients write them.
 */
export function parseCommand(line: Uint8Array): Result<Command, CommandProblem> {
  const text = decodeUtf8(trimEnd(line));
  if (text === null || hasControls(text)) return err({ kind: "badOctets" });
  const space = text.indexOf(" ");
  const word = space === -1 ? text : text.slice(0, space);
  // Before the upper case, which turns letters such as U+017F (long s) into ASCII.
  const verb = /^[A-Za-z][A-Za-z-]*:?$/.test(word) ? word.toUpperCase() : "";
  const parseArgument = verbs.get(verb);
  if (parseArgument !== undefined) return parseArgument(space === -1 ? "" : text.slice(space + 1).replace(/^ +/, ""));
  if (isHttpWord(verb)) return err({ kind: "http" });
  return err({ kind: "unknownVerb", verb: printable(word, MAX_UNKNOWN_VERB) });
}

function trimEnd(line: Uint8Array): Uint8Array {
  let end = line.length;
  while (end > 0 && (line[end - 1] === SPACE || line[end - 1] === TAB)) end--;
  return end === line.length ? line : line.subarray(0, end);
}

const LINE_BREAKERS = /[\r\n\u0000]/;

/**
 * A client's command line with its CRLF. Throws if any value holds CR, LF or NUL: values are checked where they enter, so
 * that here it is a bug (command injection).
 */
export function formatCommand(line: string): Uint8Array {
  assert(!LINE_BREAKERS.test(line), "a command line holds no CR, LF or NUL");
  return encodeLine(`${line}\r\n`);
}
