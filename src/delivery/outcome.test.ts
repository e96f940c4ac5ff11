import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientProblem, RecipientResult, Stage } from "../client/index.ts";
import type { NetProblem } from "../net/index.ts";
import type { Hop, Outcome } from "../queue/index.ts";
import { reply } from "../smtp/index.ts";
import { combine, type Finding, fromProblem, fromResult, isTooManyRecipients, requireTlsFailure } from "./outcome.ts";
import { isHandshakeFailure } from "./tls-failure.ts";

const HOP: Hop = { host: "mx.test", address: "192.0.2.1", port: 25, tls: null, rule: "opportunistic (test)" };

const refused = (stage: Stage, code: number, status: string | null = null): RecipientResult => ({
  kind: "refused",
  stage,
  reply: reply(code, status, "no"),
});

/** `failed recipient 5.1.1`, with ` +` where the next host is to be asked. */
function summary({ outcome, tryNext }: Finding): string {
  const next = tryNext ? " +" : "";
  if (outcome.kind === "delivered") return `delivered${next}`;
  return `${outcome.kind} ${outcome.scope} ${outcome.problem.status}${next}`;
}

const refusals: readonly [Stage, number, string | null, string][] = [
  // A recipient's own trouble never touches the others.
  ["rcpt", 550, "5.1.1", "failed recipient 5.1.1"],
  ["rcpt", 550, null, "failed recipient 5.1.1"],
  ["rcpt", 551, null, "failed recipient 5.1.6"],
  ["rcpt", 553, null, "failed recipient 5.1.3"],
  ["rcpt", 450, "4.2.0", "deferred recipient 4.2.0"],
  ["rcpt", 451, "4.7.1", "deferred recipient 4.7.1"],
  ["rcpt", 450, null, "deferred recipient 4.2.0"],
  ["rcpt", 452, "4.5.3", "deferred recipient 4.5.3"],
  // RFC 5321 §4.5.3.1.10: the old code for too many recipients; a full mailbox says so in its status.
  ["rcpt", 552, null, "deferred recipient 4.5.3"],
  ["rcpt", 552, "5.5.3", "deferred recipient 4.5.3"],
  ["rcpt", 552, "5.2.2", "failed recipient 5.2.2"],
  // The message's.
  ["mail", 550, "5.7.1", "failed message 5.7.1"],
  ["mail", 552, null, "failed message 5.3.4"],
  ["mail", 555, null, "failed message 5.5.4"],
  ["mail", 451, null, "deferred message 4.3.0"],
  ["data", 554, null, "failed message 5.0.0"],
  ["end", 554, "5.7.1", "failed message 5.7.1"],
  ["end", 450, "4.7.0", "deferred message 4.7.0"],
  ["end", 452, "4.3.4", "deferred message 4.3.4"],
  // The host's: another may take it.
  ["mail", 452, null, "deferred host 4.3.1 +"],
  ["mail", 451, "4.3.5", "deferred host 4.3.5 +"],
  ["end", 452, "4.3.1", "deferred host 4.3.1 +"],
  ["mail", 421, null, "deferred host 4.3.2 +"],
  ["rcpt", 421, "4.7.0", "deferred connection 4.7.0 +"],
  ["data", 421, null, "deferred connection 4.3.2 +"],
  ["end", 421, null, "deferred connection 4.3.2 +"],
  ["greeting", 554, null, "failed host 5.0.0 +"],
  ["greeting", 554, "5.7.1", "failed host 5.7.1 +"],
  ["greeting", 421, null, "deferred host 4.3.2 +"],
  ["hello", 550, null, "failed host 5.0.0 +"],
  ["hello", 451, null, "deferred host 4.3.0 +"],
  // What a policy demands is waited for.
  ["starttls", 454, "4.7.0", "deferred host 4.7.0 +"],
  ["starttls", 502, "5.5.1", "deferred host 4.5.1 +"],
  ["auth", 535, "5.7.8", "deferred host 4.7.8 +"],
  // No success where none can be.
  ["rcpt", 354, null, "deferred recipient 4.0.0"],
  ["end", 354, null, "deferred message 4.0.0"],
];

for (const [stage, code, status, expected] of refusals) {
  test(`${code} ${status ?? "without status"} at ${stage}: ${expected}`, () => {
    assert.equal(summary(fromResult(refused(stage, code, status), HOP)), expected);
  });
}

test("acceptance is delivery, with the reply and what the connection proved", () => {
  const accepted = reply(250, "2.0.0", "queued");
  const { outcome } = fromResult({ kind: "accepted", reply: accepted }, HOP);
  assert.deepEqual(outcome, { kind: "delivered", reply: accepted, hop: HOP });
});

test("what we refused for the peer may go to another host, and fails the message, not the host", () => {
  const local = { kind: "refused", stage: "mail", reply: reply(553, "5.6.7", "no"), local: true } as const;
  const finding = fromResult(local, HOP);
  assert.equal(summary(finding), "failed message 5.6.7 +");
  assert.equal(finding.outcome.kind === "failed" && finding.outcome.problem.reply, null);
});

const network = (kind: NetProblem["kind"], stage: Stage): ClientProblem => ({
  kind: "network",
  stage,
  problem: { kind, detail: "local words" },
});

const problems: readonly [ClientProblem, string][] = [
  [network("refused", "connect"), "deferred host 4.4.1 +"],
  [network("unreachable", "connect"), "deferred host 4.4.1 +"],
  [network("timeout", "connect"), "deferred host 4.4.1 +"],
  [network("reset", "greeting"), "deferred host 4.4.2 +"],
  [network("tls", "handshake"), "deferred host 4.7.5 +"],
  [network("certificate", "handshake"), "deferred host 4.7.5 +"],
  [network("reset", "rcpt"), "deferred connection 4.4.2 +"],
  [{ kind: "timeout", stage: "greeting" }, "deferred host 4.4.2 +"],
  [{ kind: "timeout", stage: "data" }, "deferred connection 4.4.2 +"],
  [{ kind: "timeout", stage: "body" }, "deferred connection 4.4.2 +"],
  [{ kind: "closed", stage: "mail" }, "deferred connection 4.4.2 +"],
  [{ kind: "protocol", stage: "hello", detail: "x", problem: null }, "deferred host 4.5.0 +"],
  [{ kind: "tlsNotOffered" }, "deferred host 4.7.4 +"],
  [{ kind: "authNotOffered", offered: [] }, "deferred host 4.7.4 +"],
  [{ kind: "refused", stage: "greeting", reply: reply(554, null, "no") }, "failed host 5.0.0 +"],
];

for (const [problem, expected] of problems) {
  test(`${problem.kind} ${"stage" in problem ? problem.stage : ""}: ${expected}`, () => {
    assert.equal(summary(fromProblem(problem, HOP)), expected);
  });
}

test("local words stay out of what may be reported", () => {
  for (const kind of ["refused", "timeout", "tls", "certificate", "other"] as const) {
    const { outcome } = fromProblem(network(kind, "connect"), HOP);
    assert.ok(outcome.kind === "deferred" && !outcome.problem.text.includes("local words"));
  }
});

test("a connection lost after the end of data is neither success nor a reason to ask the next host", () => {
  const problem = { kind: "closed", stage: "end" } as const;
  assert.equal(summary(fromResult({ kind: "broken", problem, uncertain: true }, HOP)), "deferred connection 4.4.2");
  assert.equal(summary(fromResult({ kind: "broken", problem, uncertain: false }, HOP)), "deferred connection 4.4.2 +");
});

test("too many recipients is told from a full mailbox", () => {
  assert.ok(isTooManyRecipients(refused("rcpt", 452)));
  assert.ok(isTooManyRecipients(refused("rcpt", 452, "4.5.3")));
  assert.ok(isTooManyRecipients(refused("rcpt", 552)));
  assert.ok(!isTooManyRecipients(refused("rcpt", 452, "4.2.2")));
  assert.ok(!isTooManyRecipients(refused("mail", 452)));
  assert.ok(!isTooManyRecipients(refused("rcpt", 450)));
});

test("a message that demands TLS fails where there is none, and waits where the host is merely away", () => {
  const failure = (problem: ClientProblem): string | null => {
    const finding = requireTlsFailure(problem, HOP);
    return finding === null ? null : summary(finding);
  };
  assert.equal(failure({ kind: "tlsNotOffered" }), "failed message 5.7.10 +");
  assert.equal(failure({ kind: "refused", stage: "starttls", reply: reply(454, null, "") }), "failed message 5.7.10 +");
  assert.equal(failure(network("certificate", "handshake")), "failed message 5.7.10 +");
  const injected = {
    kind: "protocol",
    stage: "starttls",
    detail: "more replies than commands",
    problem: null,
  } as const;
  assert.equal(failure(injected), "failed message 5.7.10 +");
  assert.equal(failure(network("refused", "connect")), null);
  assert.equal(failure(network("aborted", "handshake")), null, "stopped by us");
  assert.equal(failure({ kind: "closed", stage: "greeting" }), null);
  assert.ok(isHandshakeFailure({ kind: "timeout", stage: "handshake" }));
});

const outcome = (kind: "deferred" | "failed", status: string, code: number | null = null): Outcome => ({
  kind,
  scope: "host",
  problem: { text: status, reply: code === null ? null : reply(code, null, "x"), status },
  hop: HOP,
});

test("over several hosts a temporary failure outlives permanent ones, and words outlive silence", () => {
  const status = (outcomes: readonly Outcome[], unresolved: readonly string[] = []): string | null => {
    const all = combine(outcomes, unresolved);
    return all === null || all.kind === "delivered" ? null : `${all.kind} ${all.problem.status}`;
  };
  assert.equal(status([outcome("failed", "5.0.0", 554), outcome("deferred", "4.4.1")]), "deferred 4.4.1");
  assert.equal(status([outcome("deferred", "4.4.1"), outcome("deferred", "4.3.2", 421)]), "deferred 4.3.2");
  assert.equal(status([outcome("deferred", "4.4.1"), outcome("deferred", "4.4.2")]), "deferred 4.4.1");
  assert.equal(status([outcome("failed", "5.0.0", 554)]), "failed 5.0.0");
  assert.equal(status([outcome("failed", "5.0.0", 554)], ["doubt.test"]), "deferred 4.4.3");
  assert.equal(status([]), null);
});
