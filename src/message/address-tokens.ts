import { err, ok, type Result } from "../base/index.ts";

/** One token of an address list (RFC 5322 §3.2), comments and white space left out. Places count UTF-16 units of the text. */
export interface AddressToken {
  /** `literal` is a domain literal in its brackets; a special is its own kind. */
  readonly kind: "atom" | "quoted" | "literal" | Special;
  /** What it means: without quotes, backslashes and folds. */
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

type Special = "<" | ">" | "@" | "," | ":" | ";" | ".";

/** Why a text is no address list: where, and what stands there in plain words. */
export interface AddressListProblem {
  /** UTF-16 units from the start of the text. */
  readonly at: number;
  /** Completes "the address list holds …". */
  readonly found: string;
}

/** atext of RFC 5322 §3.2.3, of which encoded-words are made (RFC 2047 §5 rule 3), with the characters outside of ASCII of RFC 6532 §3.2, C1 controls left out. */
const ATOM = /[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\uffff]+/y;
const WHITE_SPACE = /[ \t\r\n]+/y;
const SPECIALS: ReadonlySet<string> = new Set(["<", ">", "@", ",", ":", ";", "."]);
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/** Cuts the value of an address field into tokens; it may be folded. Time and memory grow with the text alone. */
export function addressTokens(text: string): Result<readonly AddressToken[], AddressListProblem> {
  const tokens: AddressToken[] = [];
  let at = 0;
  while (at < text.length) {
    const blank = runOf(WHITE_SPACE, text, at);
    if (blank > at) {
      at = blank;
      continue;
    }
    if (text.charAt(at) === "(") {
      const end = commentEnd(text, at);
      if (!end.ok) return end;
      at = end.value;
      continue;
    }
    const token = tokenAt(text, at);
    if (!token.ok) return token;
    tokens.push(token.value);
    at = token.value.end;
  }
  return ok(tokens);
}

function tokenAt(text: string, at: number): Result<AddressToken, AddressListProblem> {
  const first = text.charAt(at);
  if (isSpecial(first)) return ok({ kind: first, value: first, start: at, end: at + 1 });
  if (first === '"') return enclosed(text, at, '"', "quoted");
  if (first === "[") return enclosed(text, at, "]", "literal");
  const end = runOf(ATOM, text, at);
  if (end === at) return err({ at, found: `${nameOf(first)} where none may stand` });
  return ok({ kind: "atom", value: text.slice(at, end), start: at, end });
}

/** A quoted-string (RFC 5322 §3.2.4) or a domain-literal (§3.4.1), from its first to its last character. */
function enclosed(
  text: string,
  start: number,
  close: string,
  kind: "quoted" | "literal",
): Result<AddressToken, AddressListProblem> {
  let value = "";
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === close) {
      const whole = kind === "literal" ? `[${value}]` : value;
      return ok({ kind, value: whole, start, end: at + 1 });
    }
    if (CONTROL.test(character)) return err({ at, found: "a control character" });
    if (character === "\\") {
      at++;
      value += text.charAt(at);
    } else if (character !== "\r" && character !== "\n") value += character;
  }
  return err({ at: start, found: kind === "quoted" ? "a quote that is not closed" : "a bracket that is not closed" });
}

/** Where the comment that begins at `start` ends; comments nest (RFC 5322 §3.2.2), and are counted rather than descended into. */
function commentEnd(text: string, start: number): Result<number, AddressListProblem> {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === "(") depth++;
    else if (character === ")") {
      depth--;
      if (depth === 0) return ok(at + 1);
    } else if (character === "\\") at++;
    else if (CONTROL.test(character)) return err({ at, found: "a control character" });
  }
  return err({ at: start, found: "a comment that is not closed" });
}

/** Where the run of a sticky pattern from `at` ends; `at` itself where there is none. */
function runOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

function isSpecial(character: string): character is Special {
  return SPECIALS.has(character);
}

function nameOf(character: string): string {
  return CONTROL.test(character) ? "a control character" : `a "${character}"`;
}
