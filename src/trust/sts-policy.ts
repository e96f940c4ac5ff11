import { createHash } from "node:crypto";
import { type Duration, err, ok, type Result, SECOND, trimBlanks } from "../base/index.ts";
import { parseDomain } from "../smtp/index.ts";

/** A policy as its host serves it (RFC 8461 §3.2). */
export interface ServedPolicy {
  readonly mode: "enforce" | "testing" | "none";
  /** `mail.example.net` or `*.example.net`, lower case. Empty with mode `none` only. */
  readonly mx: readonly string[];
  /** At most `LONGEST_MAX_AGE`. */
  readonly maxAge: Duration;
  /** As they were served, for reports (RFC 8460 §4.4). */
  readonly lines: readonly string[];
}

/** RFC 8461 §3.2: a year. */
const LONGEST_MAX_AGE = 31_557_600 * SECOND;

/** RFC 8461 §3.1: what may stand behind the version, one or more times. The value holds no `=`, `;`, space or control. */
const TXT_FIELD = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)$/;

/** `*WSP` around a value is no part of it (RFC 8461 §3.2); the value itself is trimmed of nothing else. */
const POLICY_FIELD = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):(.*)$/s;

/** What a value may hold: no controls, and so no CR but the one before LF (RFC 8461 §3.2, `sts-policy-ext-value`). */
const CONTROLS = /[\u0000-\u001f\u007f]/;

/**
 * The id of the policy that the TXT records of `_mta-sts.DOMAIN` announce (RFC 8461 §3.1), each with its strings joined. Those that
 * do not begin with the version are somebody else's. Fails, in words, unless exactly one is left and that one is well-formed.
 */
export function parseStsRecords(records: readonly string[]): Result<string, string> {
  const ours = records.filter((record) => /^v=STSv1[ \t]*;/.test(record));
  const [record] = ours;
  if (record === undefined) return err("there is no TXT record of MTA-STS");
  if (ours.length > 1) return err("there is more than one TXT record of MTA-STS");
  const fields = record.split(";").map(trimBlanks);
  // The delimiter may also stand behind the last field.
  if (fields.at(-1) === "") fields.pop();
  let id: string | null = null;
  for (const field of fields.slice(1)) {
    const [, name, value = ""] = TXT_FIELD.exec(field) ?? [];
    if (name === undefined) return err("the TXT record of MTA-STS is malformed");
    // RFC 8461 §3.2: of a field that stands twice the first counts.
    if (name === "id") id ??= value;
  }
  if (id === null) return err("the TXT record of MTA-STS has no id");
  return /^[A-Za-z0-9]{1,32}$/.test(id) ? ok(id) : err("the id in the TXT record of MTA-STS is malformed");
}

/** Reads a policy (RFC 8461 §3.2). Unknown fields are ignored; of those that stand twice, `mx` apart, the first counts. */
export function parseStsPolicy(text: string): Result<ServedPolicy, string> {
  const lines = text.split(/\r?\n/).filter((line) => trimBlanks(line) !== "");
  const fields = new Map<string, string>();
  const mx: string[] = [];
  for (const [at, line] of lines.entries()) {
    const [, name = "", written = ""] = POLICY_FIELD.exec(line) ?? [];
    const value = trimBlanks(written);
    if (name === "" || CONTROLS.test(value)) return err(`line ${at + 1} of the policy is malformed`);
    if (name === "mx") mx.push(value.toLowerCase());
    else if (!fields.has(name)) fields.set(name, value);
  }
  if (fields.get("version") !== "STSv1") return err("the policy is not of version STSv1");
  const mode = fields.get("mode");
  if (mode !== "enforce" && mode !== "testing" && mode !== "none") return err("the policy has no known mode");
  const maxAge = parseMaxAge(fields.get("max_age"));
  if (!maxAge.ok) return maxAge;
  if (!mx.every(isMxPattern)) return err("an mx of the policy is not a host name, nor a name behind `*.`");
  if (mx.length === 0 && mode !== "none") return err("the policy names no mx");
  return ok({ mode, mx, maxAge: maxAge.value, lines: lines.map(trimBlanks) });
}

function parseMaxAge(text: string | undefined): Result<Duration, string> {
  if (text === undefined) return err("the policy has no max_age");
  if (!/^\d{1,10}$/.test(text)) return err("the max_age of the policy is not a number of seconds");
  const length = Number(text) * SECOND;
  return length <= LONGEST_MAX_AGE ? ok(length) : err("the max_age of the policy is longer than a year");
}

/** RFC 8461 §3.2: A-labels, `*` only as the whole first label. */
function isMxPattern(pattern: string): boolean {
  const name = pattern.startsWith("*.") ? pattern.slice(2) : pattern;
  return /^[\x21-\x7e]+$/.test(name) && parseDomain(name).ok;
}

/** Whether a host, as the MX record names it, is one of a policy's `mx` patterns (RFC 8461 §4.1): a `*` is one whole label. */
export function matchesSts(patterns: readonly string[], host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  const dot = name.indexOf(".");
  const parent = dot < 1 ? null : `*${name.slice(dot)}`;
  return patterns.some((pattern) => pattern === name || pattern === parent);
}

/** The text of a policy of our own, as `/.well-known/mta-sts.txt` serves it. Names are A-labels. */
export function formatStsPolicy(policy: Omit<ServedPolicy, "lines">): string {
  const lines = [
    "version: STSv1",
    `mode: ${policy.mode}`,
    ...policy.mx.map((pattern) => `mx: ${pattern}`),
    `max_age: ${Math.min(policy.maxAge, LONGEST_MAX_AGE) / SECOND}`,
  ];
  return lines.map((line) => `${line}\r\n`).join("");
}

/** The `id` of the TXT record for a policy of our own: the same text always has the same, another text another (RFC 8461 §3.1). */
export function policyId(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** The TXT record of `_mta-sts.DOMAIN` that announces a policy of our own. */
export function formatStsRecord(id: string): string {
  return `v=STSv1; id=${id};`;
}
