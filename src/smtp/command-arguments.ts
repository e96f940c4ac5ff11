import { err, ok, type Result } from "../base/index.ts";
import type { Command, CommandProblem, Verb } from "./command.ts";
import { MAX_DOMAIN, MAX_MECHANISM } from "./limits.ts";
import type { RawParameter } from "./parameters.ts";
import { scanForwardPath, scanReversePath } from "./path.ts";
import { readXclient } from "./xclient.ts";

type Parsed = Result<Command, CommandProblem>;

/**
 * How each verb reads what stands behind it and its spaces; `""` where there is nothing. The text holds no controls and
 * no trailing white space.
 */
export const argumentParsers: Record<Verb, (argument: string) => Parsed> = {
  EHLO: (argument) => hello("EHLO", argument),
  HELO: (argument) => hello("HELO", argument),
  LHLO: (argument) => hello("LHLO", argument),
  STARTTLS: (argument) => alone("STARTTLS", argument),
  AUTH: auth,
  MAIL: mail,
  RCPT: rcpt,
  DATA: (argument) => alone("DATA", argument),
  BDAT: bdat,
  RSET: (argument) => alone("RSET", argument),
  NOOP: (argument) => ok({ verb: "NOOP", argument: argument === "" ? null : argument }),
  QUIT: (argument) => alone("QUIT", argument),
  VRFY: (argument) => needed("VRFY", argument),
  EXPN: (argument) => needed("EXPN", argument),
  HELP: (argument) => ok({ verb: "HELP", argument: argument === "" ? null : argument }),
  ETRN: (argument) => needed("ETRN", argument),
  XCLIENT: xclient,
};

/** Printable ASCII but for what would end or nest a comment, a quoted string or a path in a Received field. */
const CLIENT_NAME = /^[!#-'*+\--:=?A-Z[\]^-~]+$/;

/**
 * Deviation: RFC 5321 §4.1.1.1 wants a domain or an address literal. Names with underscores, unqualified names and zone ids are
 * sent by many honest hosts, and §4.1.4 forbids to refuse mail for a name that proves nothing; so any word is taken that is safe to
 * write into a trace field. Non-ASCII is refused: U-labels may not stand here (RFC 6531 §3.7.1, no SMTPUTF8 before EHLO).
 */
function hello(verb: "EHLO" | "HELO" | "LHLO", argument: string): Parsed {
  if (argument.length > MAX_DOMAIN || !CLIENT_NAME.test(argument)) {
    return bad(verb, "a domain or an address literal");
  }
  return ok({ verb, client: argument });
}

function alone(verb: "STARTTLS" | "DATA" | "RSET" | "QUIT", argument: string): Parsed {
  return argument === "" ? ok({ verb }) : bad(verb, "no argument");
}

function needed(verb: "VRFY" | "EXPN" | "ETRN", argument: string): Parsed {
  return argument === "" ? bad(verb, "an argument") : ok({ verb, argument });
}

/** RFC 4954 §4; the mechanism's form is RFC 4422 §3.1's. */
function auth(argument: string): Parsed {
  const [, mechanism, initial] = /^([A-Za-z0-9_-]+)(?: +([^ ]+))?$/.exec(argument) ?? [];
  if (mechanism === undefined || mechanism.length > MAX_MECHANISM) {
    return bad("AUTH", "a mechanism and at most one initial response");
  }
  return ok({ verb: "AUTH", mechanism: mechanism.toUpperCase(), initial: initial ?? null });
}

/** RFC 3030 §2: 1*20DIGIT. What is no exact number is more than any message may have, and is refused as a size elsewhere. */
function bdat(argument: string): Parsed {
  const [, digits, last] = /^([0-9]{1,20})(?: +(last))?$/i.exec(argument) ?? [];
  if (digits === undefined) return bad("BDAT", "a chunk size and at most LAST");
  const size = Number(digits);
  if (!Number.isSafeInteger(size)) return bad("BDAT", "a chunk size below 2^53");
  return ok({ verb: "BDAT", size, last: last !== undefined });
}

function xclient(argument: string): Parsed {
  const attributes = readXclient(argument);
  return attributes === null
    ? bad("XCLIENT", "attributes of the form NAME=value")
    : ok({ verb: "XCLIENT", attributes });
}

function mail(argument: string): Parsed {
  const at = pathStart(argument, "FROM:");
  if (at === null) return bad("MAIL", "FROM:<address>");
  const scanned = scanReversePath(argument, at);
  if (!scanned.ok) return err({ kind: "badAddress", verb: "MAIL", problem: scanned.error });
  const parameters = readRaw(argument, scanned.value.next);
  if (parameters === null) return bad("MAIL", "parameters of the form KEYWORD or KEYWORD=value");
  return ok({ verb: "MAIL", reversePath: scanned.value.path, parameters });
}

function rcpt(argument: string): Parsed {
  const at = pathStart(argument, "TO:");
  if (at === null) return bad("RCPT", "TO:<address>");
  const scanned = scanForwardPath(argument, at);
  if (!scanned.ok) return err({ kind: "badAddress", verb: "RCPT", problem: scanned.error });
  const parameters = readRaw(argument, scanned.value.next);
  if (parameters === null) return bad("RCPT", "parameters of the form KEYWORD or KEYWORD=value");
  return ok({ verb: "RCPT", forwardPath: scanned.value.path, parameters });
}

/**
 * Where the path begins behind `FROM:` or `TO:`.
 *
 * Deviation: RFC 5321 §3.3 allows no space there; so many clients write one that servers which refuse it lose mail.
 */
function pathStart(argument: string, prefix: "FROM:" | "TO:"): number | null {
  if (argument.slice(0, prefix.length).toUpperCase() !== prefix) return null;
  let at = prefix.length;
  while (argument.charCodeAt(at) === 0x20) at++;
  return at;
}

const NO_PARAMETERS: readonly RawParameter[] = [];

/** esmtp-param of RFC 5321 §4.1.2, its value with the UTF-8 of RFC 6531 §3.3. */
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\u0021-\u003c\u003e-\u007e\u0080-\uffff]+))?$/;

/** The parameters behind a path; null when any is of the wrong form. */
function readRaw(argument: string, at: number): readonly RawParameter[] | null {
  if (at === argument.length) return NO_PARAMETERS;
  if (argument.charCodeAt(at) !== 0x20) return null;
  const parameters: RawParameter[] = [];
  for (const word of argument.slice(at).split(" ")) {
    if (word === "") continue;
    const match = PARAMETER.exec(word);
    const [, keyword, value] = match ?? [];
    if (keyword === undefined) return null;
    parameters.push({ keyword: keyword.toUpperCase(), value: value ?? null });
  }
  return parameters;
}

function bad(verb: Verb, expected: string): Parsed {
  return err({ kind: "badArgument", verb, expected });
}
