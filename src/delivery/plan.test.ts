import assert from "node:assert/strict";
import { test } from "node:test";
import { clearTextRound, type PlanRequest, planAttempts, sessionKey } from "./plan.ts";
import { decideTls } from "./tls-policy.ts";

const REQUEST: PlanRequest = {
  hosts: [
    { name: "a.test", addresses: ["192.0.2.1"] },
    { name: "b.test", addresses: ["192.0.2.2"] },
  ],
  port: 25,
  protocol: "smtp",
  level: "opportunistic",
  reason: "no route matches",
  implicit: false,
  requireTls: false,
  secureName: false,
};

function requirement(change: Partial<PlanRequest>) {
  const decision = decideTls({ ...REQUEST, host: "a.test", ...change });
  if (decision.kind !== "require") return `${decision.kind} ${decision.problem.status}`;
  const { mode, names, requireTls } = decision.requirement;
  return { mode, names, requireTls };
}

test("each level demands what its name says", () => {
  const of = (mode: string, names: string[] | null = null) => ({ mode, names, requireTls: false });
  assert.deepEqual(requirement({ level: "off" }), of("none"));
  assert.deepEqual(requirement({ level: "opportunistic" }), of("opportunistic"));
  assert.deepEqual(requirement({ level: "encrypted" }), of("required"));
  assert.deepEqual(requirement({ level: "verified" }), of("required", ["a.test"]));
});

test("implicit TLS is never less than encrypted", () => {
  for (const level of ["off", "opportunistic", "encrypted"] as const) {
    assert.deepEqual(requirement({ level, implicit: true }), { mode: "implicit", names: null, requireTls: false });
  }
  const verified = requirement({ level: "verified", implicit: true });
  assert.deepEqual(verified, { mode: "implicit", names: ["a.test"], requireTls: false });
});

test("a level that cannot be proven makes the mail wait, and is never read as a lesser one", () => {
  assert.equal(requirement({ level: "dane" }), "deferred 4.7.5");
  const plan = planAttempts({ ...REQUEST, level: "dane" });
  assert.deepEqual(plan.attempts, []);
  assert.deepEqual(
    plan.ruledOut.map(({ kind }) => kind),
    ["deferred", "deferred"],
  );
});

test("REQUIRETLS needs a proven name and a verified certificate, else the message fails (RFC 8689 §4.2.1)", () => {
  assert.equal(requirement({ requireTls: true }), "failed 5.7.30");
  assert.equal(requirement({ requireTls: true, level: "off", secureName: true }), "failed 5.7.30");
  const proven = { mode: "required", names: ["a.test"], requireTls: true };
  assert.deepEqual(requirement({ requireTls: true, secureName: true }), proven);
});

test("hosts are planned in order, with the rule in words", () => {
  const { attempts } = planAttempts({ ...REQUEST, level: "verified", reason: 'route "*"' });
  assert.deepEqual(
    attempts.map(({ host, requirement: { rule } }) => [host, rule]),
    [
      ["a.test", 'verified (route "*")'],
      ["b.test", 'verified (route "*")'],
    ],
  );
});

test("clear text after a failed handshake is only for what had to prove nothing", () => {
  for (const level of ["off", "encrypted", "verified"] as const) {
    assert.deepEqual(clearTextRound(planAttempts({ ...REQUEST, level }).attempts), []);
  }
  assert.deepEqual(clearTextRound(planAttempts({ ...REQUEST, implicit: true }).attempts), []);
  const round = clearTextRound(planAttempts(REQUEST).attempts);
  assert.deepEqual(
    round.map((attempt) => attempt.requirement.mode),
    ["none", "none"],
  );
});

test("no session opened under one demand is found under another", () => {
  const keys = new Set<string>();
  const first = (change: Partial<PlanRequest>): void => {
    const attempt = planAttempts({ ...REQUEST, ...change }).attempts[0];
    if (attempt !== undefined) keys.add(sessionKey(attempt));
  };
  for (const level of ["off", "opportunistic", "encrypted", "verified"] as const) first({ level });
  first({ implicit: true });
  first({ protocol: "lmtp" });
  first({ port: 26 });
  first({ requireTls: true, secureName: true });
  assert.equal(keys.size, 8);
});
