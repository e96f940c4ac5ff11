import { formatTlsa } from "../delivery/index.ts";
import type { DaneFinding, StsFinding } from "../trust/index.ts";
import { matchesSts } from "../trust/index.ts";
import type { Check, CheckStatus, DaneReport, HostReport, StsReport } from "./probe-report.ts";

/** What was seen of a host, before it is judged. */
export type SeenHost = Omit<HostReport, "checks" | "verdict"> & {
  /** Where the connection stopped, null where it came to its end. */
  readonly problem: { readonly stage: string; readonly detail: string } | null;
  /** The large ClientHello was met by silence, and the classical one was not. */
  readonly needsClassical: boolean;
};

/** A certificate that is over within so many days should have been renewed. */
const SOON = 14;
/** What it means that a connection stopped so early. */
const BEFORE_TLS: ReadonlyMap<string, string> = new Map([
  ["connect", "cannot be reached"],
  ["greeting", "does not greet"],
  ["hello", "refuses EHLO"],
]);

/** Judges what a host showed against what its domain and DNS demand. Pure; in the order of the connection. */
export function judgeHost(seen: SeenHost, sts: StsFinding): readonly Check[] {
  const reached = reachable(seen);
  if (reached.status === "failed") return [reached, ...daneCheck(seen.dane)];
  const secured = seen.tls !== null;
  return [
    reached,
    startTls(seen),
    ...clearTextAuth(seen),
    ...(secured ? [versions(seen), ...groups(seen), certificate(seen, sts), ...expiry(seen)] : []),
    ...daneCheck(seen.dane),
    ...stsCheck(seen, sts),
    requireTls(seen),
  ];
}

function reachable({ problem, address, host }: SeenHost): Check {
  const meaning = problem === null ? undefined : BEFORE_TLS.get(problem.stage);
  if (meaning !== undefined) return check("reachable", "failed", `${meaning}: ${problem?.detail ?? ""}`);
  return check("reachable", "ok", `${host} answers at ${address}`);
}

function startTls({ problem, tls }: SeenHost): Check {
  if (tls === null) return check("starttls", "failed", problem === null ? "no TLS" : `no TLS: ${problem.detail}`);
  if (problem !== null) return check("starttls", "failed", `after the handshake: ${problem.detail}`);
  return check("starttls", "ok", [tls.version, tls.cipher, tls.group].filter((part) => part !== null).join(" "));
}

/** RFC 8314 §4.1: a password has no place in clear text. */
function clearTextAuth({ extensions }: SeenHost): Check[] {
  const offered = extensions.beforeTls?.some((line) => /^AUTH\b/.test(line)) === true;
  return offered ? [check("clearTextAuth", "warning", "AUTH is offered in clear text")] : [];
}

function versions({ versions: tried }: SeenHost): Check {
  const offered = tried.filter(({ supported }) => supported === true).map(({ name }) => name);
  return check("versions", offered.includes("TLSv1.3") ? "ok" : "warning", offered.join(", ") || "none is known");
}

function groups({ groups: tried, needsClassical }: SeenHost): Check[] {
  if (needsClassical) {
    return [check("groups", "warning", "hangs or hangs up on a ClientHello with post-quantum groups")];
  }
  const offered = tried.filter(({ supported }) => supported === true).map(({ name }) => name);
  return offered.length === 0 ? [] : [check("groups", "ok", offered.join(", "))];
}

/** Who must have a valid certificate; null where nobody is held to one. DANE wins over MTA-STS (RFC 8461 §2). */
function demands({ dane }: SeenHost, sts: StsFinding): "enforce" | "testing" | null {
  return dane.found === "records" || sts.kind !== "policy" ? null : sts.policy.mode;
}

function certificate(seen: SeenHost, sts: StsFinding): Check {
  const { name, dane } = seen;
  if (name === null) return check("certificate", "failed", "no certificate was shown");
  if (name.proven) return check("certificate", "ok", `trusted, and names ${seen.host}`);
  const fault = `the certificate does not prove the name: ${name.detail ?? name.reason ?? "unknown"}`;
  if (dane.match === true) return check("certificate", "ok", `${fault}; DANE proves the host without it`);
  const mode = demands(seen, sts);
  if (mode === "enforce") return check("certificate", "failed", `${fault}; the MTA-STS policy demands it`);
  return check("certificate", "warning", mode === null ? `${fault}; no policy demands it` : `${fault}; under testing`);
}

function expiry({ certificates }: SeenHost): Check[] {
  const [own] = certificates;
  if (own === undefined || own.daysLeft < 0) return [];
  const text = `the certificate is valid for ${own.daysLeft} days more`;
  return [check("expiry", own.daysLeft < SOON ? "warning" : "ok", text)];
}

function daneCheck({ found, owner, match, detail }: DaneReport): Check[] {
  switch (found) {
    case "none":
      return [check("dane", "none", detail ?? "no TLSA records")];
    case "unusable":
      return [check("dane", "warning", `TLSA records at ${owner}, none usable: ${detail ?? ""}`)];
    case "failed":
      return [check("dane", "failed", `the TLSA lookup failed, so that no mail is sent here by DANE: ${detail ?? ""}`)];
    case "records":
      if (match === true) return [check("dane", "ok", `a TLSA record at ${owner} matches`)];
      if (match === false) {
        return [check("dane", "failed", `no TLSA record at ${owner} matches: ${detail ?? ""}`)];
      }
      return [
        check("dane", "warning", `TLSA records at ${owner} could not be compared: ${detail ?? "no certificate"}`),
      ];
  }
}

function stsCheck(seen: SeenHost, sts: StsFinding): Check[] {
  if (sts.kind !== "policy" || seen.mtaStsListed === null) return [];
  const { mode } = sts.policy;
  if (seen.mtaStsListed) return [check("mtaSts", "ok", `the policy (${mode}) lists ${seen.host}`)];
  const patterns = sts.policy.mx.join(", ");
  const status = mode === "enforce" && seen.dane.found !== "records" ? "failed" : "warning";
  return [check("mtaSts", status, `the MTA-STS policy (${mode}) does not list ${seen.host}, only ${patterns}`)];
}

function requireTls(seen: SeenHost): Check {
  return seen.requireTls
    ? check("requireTls", "ok", "REQUIRETLS is offered")
    : check("requireTls", "none", "REQUIRETLS is not offered");
}

/** Whether the policy lists the host; null without one. */
export function listedBy(sts: StsFinding, host: string): boolean | null {
  return sts.kind === "policy" ? matchesSts(sts.policy.mx, host) : null;
}

/** What was found of a host's keys, before they are compared. */
export function daneReport(finding: DaneFinding): DaneReport {
  switch (finding.kind) {
    case "none":
      return { found: "none", owner: null, records: [], match: null, detail: finding.reason };
    case "failed":
      return { found: "failed", owner: null, records: [], match: null, detail: finding.detail };
    case "unusable":
      return { found: "unusable", owner: finding.owner, records: [], match: null, detail: finding.reason };
    case "records": {
      const { owner, records } = finding;
      return { found: "records", owner, records: records.map(formatTlsa), match: null, detail: null };
    }
  }
}

/** A policy as it is told. */
export function stsReport(sts: StsFinding): StsReport {
  if (sts.kind !== "policy") return { mode: null, id: null, mx: [], detail: sts.failure?.detail ?? sts.reason };
  const { mode, id, mx } = sts.policy;
  return { mode, id, mx, detail: sts.failure?.detail ?? null };
}

function check(name: Check["check"], status: CheckStatus, text: string): Check {
  return { check: name, status, text };
}
