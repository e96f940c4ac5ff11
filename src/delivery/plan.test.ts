import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { clearTextRound, type PlannedAttempt, type PlanRequest, planAttempts, sessionKey } from "./plan.ts";
import type { RouteDemand } from "./tls-policy.ts";
import type { TlsProof, TlsRequirement } from "./tls-requirement.ts";

const NO_DANE = { kind: "none", reason: "not signed" } as const;

const host = (name: string, address: string): PlanRequest["hosts"][number] => ({
  name,
  canonical: name,
  addresses: [address],
  secure: false,
  dane: NO_DANE,
  remembered: null,
});

const ROUTE: RouteDemand = {
  level: "opportunistic",
  reason: "no route matches",
  ca: null,
  pins: [],
  minVersion: "TLSv1.2",
  clientCertificate: null,
};

const REQUEST: PlanRequest = {
  hosts: [host("a.test", "192.0.2.1"), host("b.test", "192.0.2.2")],
  route: ROUTE,
  reported: true,
  domain: "d.test",
  port: 25,
  protocol: "smtp",
  implicit: false,
  secureName: false,
  sts: { kind: "none", reason: "no TXT record", failure: null },
  requireTls: false,
  tlsOptional: false,
};

const at = (level: RouteDemand["level"]): PlanRequest => ({ ...REQUEST, route: { ...ROUTE, level } });

test("a level that cannot be proven makes the mail wait, and is never read as a lesser one", () => {
  const plan = planAttempts(at("dane"));
  assert.deepEqual(plan.attempts, []);
  assert.deepEqual(
    plan.ruledOut.map(({ kind, after }) => [kind, after]),
    [
      ["deferred", 0],
      ["deferred", 0],
    ],
  );
});

test("hosts are planned in order, with the rule in words, and those ruled out keep their place", () => {
  const { attempts } = planAttempts({ ...at("verified"), route: { ...ROUTE, level: "verified", reason: 'route "*"' } });
  assert.deepEqual(
    attempts.map(({ host: name, domain, requirement: { rule } }) => [name, domain, rule]),
    [
      ["a.test", "d.test", 'verified (route "*")'],
      ["b.test", "d.test", 'verified (route "*")'],
    ],
  );
  const failed = { ...host("x.test", "192.0.2.3"), dane: { kind: "failed", detail: "servfail" } as const };
  const [first, second] = REQUEST.hosts;
  assert.ok(first !== undefined && second !== undefined);
  const plan = planAttempts({ ...REQUEST, hosts: [first, failed, second] });
  assert.deepEqual(
    plan.ruledOut.map(({ host: name, after }) => [name, after]),
    [["x.test", 1]],
  );
});

test("clear text after a failed handshake is only for what had to prove nothing", () => {
  for (const level of ["off", "encrypted", "verified"] as const) {
    assert.deepEqual(clearTextRound(planAttempts(at(level)).attempts), []);
  }
  assert.deepEqual(clearTextRound(planAttempts({ ...REQUEST, implicit: true }).attempts), []);
  const round = clearTextRound(planAttempts(REQUEST).attempts);
  assert.deepEqual(
    round.map(({ requirement: { mode, policy, watched } }) => [mode, policy, watched]),
    [
      ["none", null, null],
      ["none", null, null],
    ],
  );
});

const name = fc.constantFrom("a.test", "b.test", "a.test,b.test", '"');
const names = fc.array(name, { maxLength: 2 });
const pem = fc.constantFrom("CA one", "CA two");
const record = fc.record({
  usage: fc.constantFrom(2, 3),
  selector: fc.constantFrom(0, 1),
  matchingType: fc.constantFrom(0, 1),
  data: fc.uint8Array({ maxLength: 2 }),
});
const proof: fc.Arbitrary<TlsProof> = fc.oneof(
  fc.constant({ kind: "nothing" } as const),
  fc.record({
    kind: fc.constant("name" as const),
    names,
    ca: fc.option(fc.array(pem, { maxLength: 2 })),
    pins: fc.array(fc.constantFrom("aa", "bb"), { maxLength: 2 }),
  }),
  fc.record({ kind: fc.constant("dane" as const), names, records: fc.array(record, { maxLength: 2 }) }),
);
const requirement: fc.Arbitrary<TlsRequirement> = fc.record({
  mode: fc.constantFrom("none", "opportunistic", "required", "implicit"),
  proof,
  watched: fc.option(proof),
  serverName: fc.option(name),
  minVersion: fc.constantFrom("TLSv1.2", "TLSv1.3"),
  requireTls: fc.boolean(),
  clientCertificate: fc.option(fc.record({ certificate: pem, privateKey: pem })),
  policy: fc.constantFrom(null, { type: "no-policy-found", strings: [], mxHosts: [] } as const),
  flaw: fc.constant(null),
  held: fc.constantFrom(null, { tls: true, version: false, name: false }),
  rule: fc.string(),
});
const attempt: fc.Arbitrary<PlannedAttempt> = fc.record({
  host: name,
  addresses: fc.constant(["192.0.2.1"]),
  port: fc.constantFrom(25, 26),
  protocol: fc.constantFrom("smtp", "lmtp"),
  domain: fc.option(name),
  requirement,
});

/** All that a connection has to do and show, apart from for whom and why. */
function demands({ host: name, port, protocol, requirement: all }: PlannedAttempt): unknown {
  const { mode, proof: shown, watched, serverName, minVersion, requireTls, clientCertificate } = all;
  return [name, port, protocol, mode, shown, watched, serverName, minVersion, requireTls, clientCertificate];
}

function alike(one: unknown, other: unknown): boolean {
  // Cloned: what is generated may have no prototype.
  return isDeepStrictEqual(structuredClone(one), structuredClone(other));
}

test("two demands share a session exactly when they are the same, whatever domains share the host", () => {
  fc.assert(
    fc.property(attempt, attempt, (one, other) => {
      assert.equal(sessionKey(one) === sessionKey(other), alike(demands(one), demands(other)));
    }),
    { numRuns: 2000 },
  );
});

test("a demand that differs in one thing alone has a key of its own", () => {
  fc.assert(
    fc.property(attempt, requirement, (one, other) => {
      const fields = [
        "mode",
        "proof",
        "watched",
        "serverName",
        "minVersion",
        "requireTls",
        "clientCertificate",
      ] as const;
      for (const field of fields) {
        const changed = { ...one, requirement: { ...one.requirement, [field]: other[field] } };
        const same = alike(one.requirement[field], other[field]);
        assert.equal(sessionKey(one) === sessionKey(changed), same, field);
      }
      const renamed = { ...one, domain: "else.test", requirement: { ...one.requirement, rule: "another", held: null } };
      assert.equal(sessionKey(one), sessionKey(renamed));
    }),
    { numRuns: 500 },
  );
});
