import { type Brand, err, ok, type Result } from "../base/index.ts";
import type { AddressProblem } from "./address.ts";
import { MAX_DOMAIN, MAX_LABEL } from "./limits.ts";
import { hasControls, isAscii, utf8Length } from "./text.ts";

/**
 * A domain name as RFC 5321 §4.1.2 and RFC 6531 §3.3 write it, lower-cased, without a trailing dot. U-labels are kept as
 * received; `delivery` turns them into A-labels where DNS is asked.
 */
export type Domain = Brand<string, "Domain">;

/** What an ASCII domain and one label of it look like. */
interface Form {
  readonly domain: RegExp;
  readonly label: RegExp;
}

const STRICT: Form = {
  domain: /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/,
  label: /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/,
};

const WITH_UNDERSCORES: Form = {
  domain: /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/,
  label: /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/,
};

/** ASCII that no label may hold, also beside letters of other scripts; and the dots that IDNA reads as `.` (RFC 3490 §3.1). */
const NOT_IN_U_LABEL = /[\u0000-\u002c\u002e\u002f\u003a-\u0060\u007b-\u009f\s\u3002\uff0e\uff61]/;

const NORMALIZED = "labels in normalization form KC";

/** A U-label's A-label is `xn--` and at least one letter for each of its characters (RFC 5890 §2.3.2.1, RFC 3492 §6.3). */
const MAX_U_LABEL_CHARACTERS = MAX_LABEL - "xn--".length;

/**
 * Parses a domain name, no literal. `text` may hold U-labels; they must be stable under NFKC (RFC 5891 §4.2, RFC 5892 §2.2), so that no
 * two spellings of one name are two domains here.
 *
 * The underscore is refused, as RFC 5321 §4.1.2 has it: a name of ours must be one that everybody takes. A last label of digits only is no domain name (RFC 1123 §2.1,
 * RFC 3696 §2): it would be an IP address to half of the software that reads it.
 */
export function parseDomain(text: string): Result<Domain, AddressProblem> {
  return parse(text, STRICT);
}

/**
 * Parses the domain of somebody's mailbox.
 *
 * Deviation: RFC 5321 §4.1.2 knows no underscore, and DNS does (RFC 2181 §11). Hosts whose names hold one send mail and take it
 * (hybrid Exchange, home-made sub-domains); refusing their addresses would lose it, and nothing is gained.
 */
export function parseMailDomain(text: string): Result<Domain, AddressProblem> {
  return parse(text, WITH_UNDERSCORES);
}

function parse(text: string, form: Form): Result<Domain, AddressProblem> {
  // Before any pattern runs, so that work is bounded whatever is passed.
  if (text.length > MAX_DOMAIN) return err({ kind: "tooLong", part: "domain", limit: MAX_DOMAIN });
  const lower = text.toLowerCase();
  const problem = isAscii(text) ? asciiProblem(lower, form) : unicodeProblem(text, lower, form);
  if (problem !== null) return err(problem);
  return ok(lower as Domain); // the one cast, next to the checks that earn it
}

function asciiProblem(domain: string, form: Form): AddressProblem | null {
  if (!form.domain.test(domain)) return { kind: "syntax", at: firstBadLabel(domain, form), expected: "a domain name" };
  let from = 0;
  for (;;) {
    const dot = domain.indexOf(".", from);
    const end = dot === -1 ? domain.length : dot;
    if (end - from > MAX_LABEL) return { kind: "syntax", at: from, expected: "labels of at most 63 octets" };
    if (dot === -1) break;
    from = dot + 1;
  }
  return numericProblem(domain, from);
}

function numericProblem(domain: string, lastLabel: number): AddressProblem | null {
  for (let i = lastLabel; i < domain.length; i++) {
    const unit = domain.charCodeAt(i);
    if (unit < 0x30 || unit > 0x39) return null;
  }
  return { kind: "syntax", at: lastLabel, expected: "a domain name; an IP address stands in brackets" };
}

function firstBadLabel(domain: string, form: Form): number {
  let at = 0;
  for (const label of domain.split(".")) {
    if (!form.label.test(label)) return at;
    at += label.length + 1;
  }
  return at;
}

function unicodeProblem(written: string, domain: string, form: Form): AddressProblem | null {
  // Also as written: a letter such as U+212A (Kelvin sign) would come out of the lower case as ASCII.
  if (written.normalize("NFKC") !== written) return { kind: "syntax", at: 0, expected: NORMALIZED };
  if (utf8Length(domain) > MAX_DOMAIN) return { kind: "tooLong", part: "domain", limit: MAX_DOMAIN };
  let at = 0;
  for (const label of domain.split(".")) {
    const expected = isAscii(label) ? asciiLabelProblem(label, form) : unicodeLabelProblem(label);
    if (expected !== null) return { kind: "syntax", at, expected };
    at += label.length + 1;
  }
  return numericProblem(domain, domain.lastIndexOf(".") + 1);
}

function asciiLabelProblem(label: string, form: Form): string | null {
  if (!form.label.test(label)) return "a domain name";
  return label.length > MAX_LABEL ? "labels of at most 63 octets" : null;
}

function unicodeLabelProblem(label: string): string | null {
  if (NOT_IN_U_LABEL.test(label) || hasControls(label) || !label.isWellFormed()) return "a domain name";
  if (label.startsWith("-") || label.endsWith("-")) return "labels that begin and end with a letter or digit";
  if (label.normalize("NFKC") !== label) return NORMALIZED;
  return [...label].length > MAX_U_LABEL_CHARACTERS ? "labels of at most 63 octets" : null;
}
