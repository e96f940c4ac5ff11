import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientProblem } from "../client/index.ts";
import type { Hop } from "../queue/index.ts";
import { reply } from "../smtp/index.ts";
import { sightOf } from "./host-sight.ts";
import { fromProblem, fromResult, requireTlsFailure } from "./outcome.ts";

const HOP: Hop = { host: "mx.test", address: "192.0.2.1", port: 25, tls: null, rule: "opportunistic (test)" };

const gone: ClientProblem = {
  kind: "network",
  stage: "connect",
  problem: { kind: "refused", detail: "connection refused" },
};
const away = fromProblem(gone, HOP);
const taken = fromResult({ kind: "accepted", reply: reply(250, null, "ok") }, HOP);
const greylisted = fromResult({ kind: "refused", stage: "rcpt", reply: reply(451, "4.7.1", "later") }, HOP);

test("a host that lets nobody in is unreachable; one that served the first session and not the second is not", () => {
  assert.equal(sightOf({ findings: [away], problem: gone }).kind, "unreachable");
  assert.equal(sightOf({ findings: [taken, away], problem: gone }).kind, "trouble");
  assert.equal(sightOf({ findings: [greylisted, away], problem: gone }).kind, "trouble");
});

test("what an attempt without a problem says of its host", () => {
  assert.equal(sightOf({ findings: [taken, greylisted], problem: null }).kind, "answered");
  const broken = { kind: "broken", problem: { kind: "closed", stage: "rcpt" }, uncertain: false } as const;
  assert.equal(sightOf({ findings: [taken, fromResult(broken, HOP)], problem: null }).kind, "trouble");
});

test("what the mail demands, what we gave up, and a good reason to turn us away say nothing of it", () => {
  const problems: readonly ClientProblem[] = [
    { kind: "tlsNotOffered" },
    { kind: "network", stage: "handshake", problem: { kind: "certificate", detail: "another name" } },
    { kind: "network", stage: "connect", problem: { kind: "aborted", detail: "stopping" } },
    { kind: "refused", stage: "greeting", reply: reply(554, "5.7.1", "not you") },
  ];
  for (const problem of problems) {
    const finding = requireTlsFailure(problem, HOP);
    for (const one of [fromProblem(problem, HOP), ...(finding === null ? [] : [finding])]) {
      assert.equal(sightOf({ findings: [one], problem }).kind, "nothing", JSON.stringify(problem));
    }
  }
});
