import { err, ok, type Result } from "../base/index.ts";
import {
  type AddressProblem,
  type ForwardPath,
  finishMailbox,
  isPostmaster,
  type Mailbox,
  type ReversePath,
  scanLocalPart,
  shift,
} from "./address.ts";
import { parseMailDomain } from "./domain.ts";
import { MAX_PATH } from "./limits.ts";
import { utf8Length } from "./text.ts";

/** A path and where in the text it ended, behind its `>`. */
export interface ScannedPath<T> {
  readonly path: T;
  readonly next: number;
}

/** Reads a Reverse-path at `at` (RFC 5321 §4.1.2). `text` is known to hold no controls. */
export function scanReversePath(text: string, at: number): Result<ScannedPath<ReversePath>, AddressProblem> {
  if (text.startsWith("<>", at)) return ok({ path: null, next: at + 2 });
  return scanPath(text, at);
}

/** Reads a Forward-path at `at`, or the bare `<Postmaster>` of RFC 5321 §4.1.1.3, in any case. */
export function scanForwardPath(text: string, at: number): Result<ScannedPath<ForwardPath>, AddressProblem> {
  const close = at + 1 + "postmaster".length;
  if (text.charAt(at) === "<" && text.charAt(close) === ">" && isPostmaster(text.slice(at + 1, close))) {
    return ok({ path: "postmaster", next: close + 1 });
  }
  return scanPath(text, at);
}

function scanPath(text: string, at: number): Result<ScannedPath<Mailbox>, AddressProblem> {
  if (text.charAt(at) !== "<") return err({ kind: "syntax", at, expected: "<" });
  const route = skipSourceRoute(text, at + 1);
  if (!route.ok) return route;
  const local = scanLocalPart(text, route.value);
  if (!local.ok) return local;
  const close = pathEnd(text, local.value.next);
  if (close === -1) return err({ kind: "syntax", at: text.length, expected: ">" });
  const mailbox = finishMailbox(local.value, text, close);
  if (!mailbox.ok) return mailbox;
  if (utf8Length(text.slice(at, close + 1)) > MAX_PATH) return err({ kind: "tooLong", part: "path", limit: MAX_PATH });
  return ok({ path: mailbox.value, next: close + 1 });
}

/** Where the `>` of a path stands, -1 where it does not. A literal may hold `>` (RFC 5321 §4.1.3 dcontent); a domain may not. */
function pathEnd(text: string, at: number): number {
  const literal = text.charAt(at + 1) === "[";
  return text.indexOf(">", literal ? Math.max(at, text.indexOf("]", at)) : at);
}

/** Checks and passes over `@a,@b:` (RFC 5321 §4.1.2 A-d-l: MUST be accepted, SHOULD be ignored). Returns where the mailbox begins. */
function skipSourceRoute(text: string, at: number): Result<number, AddressProblem> {
  if (text.charAt(at) !== "@") return ok(at);
  const colon = text.indexOf(":", at);
  if (colon === -1) return err({ kind: "syntax", at, expected: "a source route that ends with :" });
  if (colon - at > MAX_PATH) return err({ kind: "tooLong", part: "path", limit: MAX_PATH });
  let from = at;
  for (const hop of text.slice(at, colon).split(",")) {
    if (!hop.startsWith("@")) return err({ kind: "syntax", at: from, expected: "@ and a domain" });
    const domain = parseMailDomain(hop.slice(1));
    if (!domain.ok) return err(shift(domain.error, from + 1));
    from += hop.length + 1;
  }
  return ok(colon + 1);
}
