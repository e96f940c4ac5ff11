import assert from "node:assert/strict";
import { test } from "node:test";
import { instant } from "../base/index.ts";
import type { TlsaRecord } from "../net/index.ts";
import type { DaneFinding, RememberedHost, StsFinding, StsPolicy } from "../trust/index.ts";
import { decideTls, type RouteDemand, type TlsQuestion } from "./tls-policy.ts";
import type { TlsProof } from "./tls-requirement.ts";

const ROUTE: RouteDemand = {
  level: "opportunistic",
  reason: "no route matches",
  ca: null,
  pins: [],
  minVersion: "TLSv1.2",
  clientCertificate: null,
};
const NO_DANE: DaneFinding = { kind: "none", reason: "no TLSA records" };
const NO_STS: StsFinding = { kind: "none", reason: "no TXT record", failure: null };
const UNKNOWN_STS: StsFinding = { kind: "none", reason: "the TXT lookup failed", failure: null, unknown: true };
const PENDING_STS: StsFinding = { kind: "pending", reason: "no place", failure: null, again: instant(5000) };
const UNREAD = { type: "sts-policy-fetch-error", detail: "404" } as const;
const UNREAD_STS: StsFinding = { kind: "none", reason: "404", failure: UNREAD };
const HOST = "a.test";

const record = (usage: number): TlsaRecord => ({
  usage,
  selector: 1,
  matchingType: 1,
  data: new Uint8Array(32).fill(usage),
});
const dane = (...usages: number[]): DaneFinding => ({
  kind: "records",
  owner: "_25._tcp.base.test",
  base: "base.test",
  names: ["base.test", "d.test"],
  records: usages.map(record),
});
const UNUSABLE: DaneFinding = { kind: "unusable", owner: "_25._tcp.a.test", base: "a.test", reason: "usage 0" };
const DANE_FAILED: DaneFinding = { kind: "failed", detail: "servfail" };

const policy = (mode: "enforce" | "testing", mx: readonly string[] = ["*.test"]): StsPolicy => ({
  domain: "d.test",
  id: "1",
  mode,
  mx,
  lines: ["version: STSv1", `mode: ${mode}`],
  fetchedAt: instant(0),
  expiresAt: instant(1e12),
});
const sts = (mode: "enforce" | "testing", mx?: readonly string[]): StsFinding => ({
  kind: "policy",
  policy: policy(mode, mx),
  failure: null,
});
const ELSEWHERE = ["mail.other.test"];

const remembered = (change: Partial<RememberedHost> = {}): RememberedHost => ({
  domain: "d.test",
  host: HOST,
  tls: true,
  version: "TLSv1.2",
  authenticated: "no",
  provenAt: instant(0),
  fellAt: null,
  ...change,
});

type Change = Partial<Omit<TlsQuestion, "route">> & Partial<RouteDemand>;

function decide({ level, reason, ca, pins, minVersion, clientCertificate, ...change }: Change = {}) {
  const given = { level, reason, ca, pins, minVersion, clientCertificate };
  const route = { ...ROUTE, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
  return decideTls({
    route,
    reported: true,
    host: HOST,
    implicit: false,
    secureName: false,
    dane: NO_DANE,
    sts: NO_STS,
    remembered: null,
    requireTls: false,
    tlsOptional: false,
    ...change,
  });
}

function brief(proof: TlsProof | null): string {
  if (proof === null) return "";
  if (proof.kind === "nothing") return "nothing";
  const how = proof.kind === "name" ? `${proof.ca ?? ""}${proof.pins.map((pin) => `|${pin}`).join("")}` : "";
  return `${proof.kind}(${proof.names.join(",")})${how}`;
}

/** `required name(a.test)`, with `?` before what is only watched; or `deferred 4.7.5`. */
function decided(change: Change): string {
  const decision = decide(change);
  if (decision.kind !== "require") return `${decision.kind} ${decision.problem.status}`;
  const { mode, proof, watched } = decision.requirement;
  return `${mode} ${brief(proof)}${watched === null ? "" : ` ?${brief(watched)}`}`;
}

function told(change: Change): string {
  const decision = decide(change);
  if (decision.kind !== "require")
    return decision.told === null ? "-" : `${decision.told.policy.type} ${decision.told.flaw.type}`;
  const { policy: applied, flaw } = decision.requirement;
  return applied === null ? "-" : `${applied.type}${flaw === null ? "" : ` ${flaw.type}`}`;
}

const TABLE: readonly (readonly [string, Change, string])[] = [
  // The route alone.
  ["off", { level: "off" }, "none nothing"],
  ["opportunistic", {}, "opportunistic nothing"],
  ["encrypted", { level: "encrypted" }, "required nothing"],
  ["verified", { level: "verified" }, "required name(a.test)"],
  ["verified by an own CA", { level: "verified", ca: ["CA"] }, "required name(a.test)CA"],
  ["verified by a pin", { level: "verified", pins: ["ab"] }, "required name(a.test)|ab"],
  ["smtps, off", { level: "off", implicit: true }, "implicit nothing"],
  ["smtps", { implicit: true }, "implicit nothing"],
  ["smtps, verified", { level: "verified", implicit: true }, "implicit name(a.test)"],
  ["an address that must be verified", { level: "verified", host: "[IPv6:2001:db8::1]" }, "required name(2001:db8::1)"],
  // DANE (RFC 7672 §2.2).
  ["usage 3 counts no names", { dane: dane(3) }, "required dane()"],
  ["usage 2 counts names", { dane: dane(3, 2) }, "required dane(base.test,d.test)"],
  ["unusable", { dane: UNUSABLE }, "required nothing"],
  ["TLSA lookup failed", { dane: DANE_FAILED }, "deferred 4.7.5"],
  ["encrypted and DANE", { level: "encrypted", dane: dane(3) }, "required dane()"],
  ["verified: a match counts as proof", { level: "verified", dane: dane(3) }, "required dane()"],
  ["verified, unusable", { level: "verified", dane: UNUSABLE }, "required name(a.test)"],
  ["dane", { level: "dane", dane: dane(3) }, "required dane()"],
  ["dane without records", { level: "dane" }, "deferred 4.7.5"],
  ["dane, unusable", { level: "dane", dane: UNUSABLE }, "deferred 4.7.5"],
  ["dane, lookup failed", { level: "dane", dane: DANE_FAILED }, "deferred 4.7.5"],
  ["off and DANE", { level: "off", dane: dane(3) }, "none nothing"],
  ["off, TLSA lookup failed", { level: "off", dane: DANE_FAILED }, "none nothing"],
  ["smtps and DANE", { implicit: true, dane: dane(3) }, "implicit dane()"],
  // MTA-STS (RFC 8461).
  ["enforce", { sts: sts("enforce") }, "required name(a.test)"],
  ["enforce, another host", { sts: sts("enforce", ELSEWHERE) }, "deferred 4.7.5"],
  ["testing", { sts: sts("testing") }, "opportunistic nothing ?name(a.test)"],
  ["testing, another host", { sts: sts("testing", ELSEWHERE) }, "opportunistic nothing"],
  ["testing on an encrypted route", { level: "encrypted", sts: sts("testing") }, "required nothing ?name(a.test)"],
  ["testing on a verified route", { level: "verified", ca: ["CA"], sts: sts("testing") }, "required name(a.test)CA"],
  ["off and enforce", { level: "off", sts: sts("enforce", ELSEWHERE) }, "none nothing"],
  ["a pin is no proof for a policy", { level: "verified", pins: ["ab"], sts: sts("enforce") }, "required name(a.test)"],
  ["a policy that was not asked for yet", { sts: PENDING_STS }, "deferred 4.4.5"],
  ["a policy not asked for, on a verified route", { level: "verified", sts: PENDING_STS }, "deferred 4.4.5"],
  ["a policy not asked for, off", { level: "off", sts: PENDING_STS }, "none nothing"],
  ["a policy that cannot be had", { sts: UNREAD_STS }, "opportunistic nothing"],
  // Both (RFC 8461 §2).
  ["DANE needs no policy", { dane: dane(3), sts: PENDING_STS }, "required dane()"],
  ["unusable, a policy not asked for yet", { dane: UNUSABLE, sts: PENDING_STS }, "deferred 4.4.5"],
  ["DANE wins over enforce", { dane: dane(3), sts: sts("enforce", ELSEWHERE) }, "required dane()"],
  ["DANE wins over testing", { dane: dane(3), sts: sts("testing") }, "required dane()"],
  ["a policy does not mend a failed lookup", { dane: DANE_FAILED, sts: sts("enforce") }, "deferred 4.7.5"],
  ["unusable leaves the policy", { dane: UNUSABLE, sts: sts("enforce") }, "required name(a.test)"],
  ["unusable under a test", { dane: UNUSABLE, sts: sts("testing") }, "required nothing ?name(a.test)"],
  // What was proven before.
  ["had TLS", { remembered: remembered() }, "required nothing"],
  ["had none", { remembered: remembered({ tls: false, version: null }) }, "opportunistic nothing"],
  ["had a name", { remembered: remembered({ authenticated: "name" }) }, "required name(a.test)"],
  ["had DANE, withdrawn by signed DNS", { remembered: remembered({ authenticated: "dane" }) }, "required nothing"],
  ["had a name, off", { level: "off", remembered: remembered({ authenticated: "name" }) }, "none nothing"],
  ["had a name, now DANE", { remembered: remembered({ authenticated: "name" }), dane: dane(3) }, "required dane()"],
  [
    "had a name, now tested",
    { remembered: remembered({ authenticated: "name" }), sts: sts("testing") },
    "required name(a.test)",
  ],
  ["had TLS, now tested", { remembered: remembered(), sts: sts("testing") }, "required nothing ?name(a.test)"],
  // REQUIRETLS (RFC 8689 §4.2.1).
  ["REQUIRETLS, nothing proves the name", { requireTls: true }, "failed 5.7.30"],
  ["REQUIRETLS, the lookup of a policy failed", { requireTls: true, sts: UNKNOWN_STS }, "deferred 4.7.5"],
  [
    "REQUIRETLS, secure name, the lookup of a policy failed",
    { requireTls: true, secureName: true, sts: UNKNOWN_STS },
    "required name(a.test)",
  ],
  ["REQUIRETLS, a policy that cannot be had", { requireTls: true, sts: UNREAD_STS }, "deferred 4.7.5"],
  [
    "REQUIRETLS, a test whose successor cannot be had",
    { requireTls: true, sts: { kind: "policy", policy: policy("testing"), failure: UNREAD } },
    "deferred 4.7.5",
  ],
  ["REQUIRETLS, a policy not asked for yet", { requireTls: true, sts: PENDING_STS }, "deferred 4.4.5"],
  ["REQUIRETLS, secure name", { requireTls: true, secureName: true }, "required name(a.test)"],
  ["REQUIRETLS, enforce", { requireTls: true, sts: sts("enforce") }, "required name(a.test)"],
  ["REQUIRETLS, enforce, another host", { requireTls: true, sts: sts("enforce", ELSEWHERE) }, "failed 5.7.30"],
  ["REQUIRETLS, testing", { requireTls: true, sts: sts("testing") }, "failed 5.7.30"],
  [
    "REQUIRETLS, secure name and testing",
    { requireTls: true, secureName: true, sts: sts("testing") },
    "required name(a.test)",
  ],
  ["REQUIRETLS, DANE", { requireTls: true, dane: dane(3) }, "required dane()"],
  ["REQUIRETLS, unusable", { requireTls: true, secureName: true, dane: UNUSABLE }, "required name(a.test)"],
  ["REQUIRETLS, TLSA lookup failed", { requireTls: true, secureName: true, dane: DANE_FAILED }, "deferred 4.7.5"],
  ["REQUIRETLS, off", { requireTls: true, secureName: true, level: "off" }, "failed 5.7.30"],
  ["REQUIRETLS, a verified name from unsigned MX", { requireTls: true, level: "verified" }, "failed 5.7.30"],
  ["REQUIRETLS, had a name", { requireTls: true, remembered: remembered({ authenticated: "name" }) }, "failed 5.7.30"],
  ["REQUIRETLS, smtps", { requireTls: true, secureName: true, implicit: true }, "implicit name(a.test)"],
  [
    "REQUIRETLS, pinned",
    { requireTls: true, secureName: true, level: "verified", pins: ["ab"] },
    "required name(a.test)|ab",
  ],
  // TLS-Required: No (RFC 8689 §4.2.2).
  ["optional", { tlsOptional: true }, "opportunistic nothing"],
  ["optional, enforce", { tlsOptional: true, sts: sts("enforce") }, "opportunistic nothing ?name(a.test)"],
  ["optional, another host", { tlsOptional: true, sts: sts("enforce", ELSEWHERE) }, "opportunistic nothing"],
  ["optional, a policy not asked for yet", { tlsOptional: true, sts: PENDING_STS }, "opportunistic nothing"],
  ["optional, DANE", { tlsOptional: true, dane: dane(3) }, "opportunistic nothing ?dane()"],
  ["optional, TLSA lookup failed", { tlsOptional: true, dane: DANE_FAILED }, "opportunistic nothing"],
  ["optional, had TLS", { tlsOptional: true, remembered: remembered() }, "opportunistic nothing"],
  [
    "optional, the route stands",
    { tlsOptional: true, level: "verified", sts: sts("enforce") },
    "required name(a.test)",
  ],
  ["optional, encrypted", { tlsOptional: true, level: "encrypted", dane: dane(3) }, "required nothing ?dane()"],
  ["optional, dane without records", { tlsOptional: true, level: "dane" }, "deferred 4.7.5"],
];

for (const [title, change, expected] of TABLE) {
  test(`TLS policy: ${title}`, () => assert.equal(decided(change), expected));
}

test("reports name the policy that was applied, and what is wrong with it (RFC 8460 §4.3.2)", () => {
  const failure = UNREAD;
  const cases: readonly (readonly [Change, string])[] = [
    [{}, "no-policy-found"],
    [{ reported: false }, "-"],
    [{ level: "off" }, "-"],
    [{ dane: dane(3) }, "tlsa"],
    [{ dane: UNUSABLE }, "tlsa tlsa-invalid"],
    [{ dane: DANE_FAILED }, "tlsa dnssec-invalid"],
    [{ level: "dane" }, "tlsa dane-required"],
    [{ level: "dane", dane: UNUSABLE }, "tlsa tlsa-invalid"],
    [{ level: "dane", reported: false }, "-"],
    [{ sts: sts("enforce") }, "sts"],
    [{ sts: sts("enforce", ELSEWHERE) }, "sts validation-failure"],
    [{ sts: sts("testing") }, "sts"],
    [{ sts: sts("testing", ELSEWHERE) }, "sts validation-failure"],
    [{ sts: UNREAD_STS }, "sts sts-policy-fetch-error"],
    [{ requireTls: true, sts: UNREAD_STS }, "sts sts-policy-fetch-error"],
    [{ requireTls: true, sts: UNREAD_STS, reported: false }, "-"],
    [{ sts: PENDING_STS }, "-"],
    [{ sts: { kind: "policy", policy: policy("enforce"), failure } }, "sts sts-policy-fetch-error"],
    [{ dane: dane(3), sts: { kind: "none", reason: "404", failure } }, "tlsa"],
    [{ tlsOptional: true, sts: sts("enforce", ELSEWHERE) }, "sts validation-failure"],
  ];
  for (const [change, expected] of cases) assert.equal(told(change), expected, JSON.stringify(change));
  const decision = decide({ dane: dane(3) });
  assert.ok(decision.kind === "require");
  assert.deepEqual(decision.requirement.policy?.strings, [`3 1 1 ${"03".repeat(32)}`]);
});

test("SNI is the host, for DANE the TLSA base domain, and never an address (RFC 7672 §8.1, RFC 6066 §3)", () => {
  const sni = (change: Change) => {
    const decision = decide(change);
    return decision.kind === "require" ? decision.requirement.serverName : decision.kind;
  };
  assert.equal(sni({}), "a.test");
  assert.equal(sni({ dane: dane(3) }), "base.test");
  assert.equal(sni({ host: "192.0.2.1" }), null);
  assert.equal(sni({ host: "[IPv6:2001:db8::1]" }), null);
});

test("the version is the stricter of the route's and the one proven before, and what is held is told apart", () => {
  const of = (change: Change) => {
    const decision = decide(change);
    assert.ok(decision.kind === "require");
    return [decision.requirement.minVersion, decision.requirement.held];
  };
  const new13 = remembered({ version: "TLSv1.3" });
  assert.deepEqual(of({ minVersion: "TLSv1.3" }), ["TLSv1.3", null]);
  assert.deepEqual(of({ remembered: new13 }), ["TLSv1.3", { tls: true, version: true, name: false }]);
  assert.deepEqual(of({ remembered: new13, minVersion: "TLSv1.3", level: "encrypted" }), ["TLSv1.3", null]);
  assert.deepEqual(of({ remembered: new13, sts: sts("enforce") }), [
    "TLSv1.3",
    { tls: false, version: true, name: false },
  ]);
  assert.deepEqual(of({ remembered: new13, requireTls: true, secureName: true }), ["TLSv1.2", null]);
});

test("the rule names the level and who demands it", () => {
  const rule = (change: Change) => {
    const decision = decide(change);
    return decision.kind === "require" ? decision.requirement.rule : decision.problem.text;
  };
  assert.equal(rule({ level: "verified", reason: 'route "*"' }), 'verified (route "*")');
  assert.match(rule({ dane: dane(3) }), /^dane \(TLSA records at _25\._tcp\.base\.test; /);
  assert.match(rule({ sts: sts("enforce") }), /^verified \(MTA-STS policy of d\.test, mode enforce; /);
  assert.match(
    rule({ remembered: remembered() }),
    /^encrypted \(held to what it proved last on 1970-01-01: TLSv1\.2; /,
  );
  assert.match(rule({ tlsOptional: true }), /^opportunistic \(TLS-Required: No in the message; /);
  assert.match(rule({ level: "dane", reason: 'route "*"' }), /route "\*" demands DANE/);
});
