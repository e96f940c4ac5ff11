import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, unwrap } from "../base/index.ts";
import { parseCommand, parseDomain, type Reply, reply } from "../smtp/index.ts";
import { defaultOffer } from "./define-policy.ts";
import type { BodyVerdict, Offer, Verdict } from "./policy.ts";
import { keepsBody, openSession, step } from "./session.ts";
import type { Action, Decision, Event, SessionSettings, State } from "./state.ts";

const settings: SessionSettings = {
  hostname: unwrap(parseDomain("mx.test")),
  protocol: "smtp",
  secure: false,
  startTls: "never",
  certificate: "notRequired",
  xclient: null,
  limits: { errors: 3, softErrors: 9, tarpit: 0, refusals: 100, junk: 4, transactions: 3, discard: 5000 },
};
const accept: Verdict = { kind: "accept" };
const sink: BodyVerdict = {
  kind: "accept",
  sink: { write() {}, finish: () => reply(250, "2.0.0", "Ok"), abort() {} },
};
const came: Event = { kind: "chunkCame" };

function command(line: string): Event {
  return { kind: "command", command: unwrap(parseCommand(encodeUtf8(line))), followed: true };
}

function decision(made: Decision): Event {
  return { kind: "decision", decision: made, followed: true };
}

/** Runs events through the session; gives its last state and all that was done at the last one. */
function run(state: State, ...events: readonly Event[]): { state: State; did: readonly string[] } {
  let did: readonly Action[] = [];
  for (const event of events) ({ state, actions: did } = step(state, event));
  return { state, did: did.map((action) => (action.kind === "reply" ? String(action.reply.code) : action.kind)) };
}

function talking(over: Partial<SessionSettings> = {}, offer: Partial<Offer> = {}): State {
  const all = { ...settings, ...over };
  return run(
    openSession(all),
    decision({ kind: "connect", verdict: accept, requireTls: offer.requireTls === true }),
    command(all.protocol === "lmtp" ? "LHLO c.test" : "EHLO c.test"),
    decision({ kind: "hello", verdict: accept, offer: { ...defaultOffer, messageSize: 100, ...offer } }),
  ).state;
}

const mail: readonly Event[] = [command("MAIL FROM:<a@c.test>"), decision({ kind: "mail", verdict: accept })];
const rcpt: readonly Event[] = [command("RCPT TO:<b@mx.test>"), decision({ kind: "recipient", verdict: accept })];
const addressed: readonly Event[] = [...mail, ...rcpt];
const first = (line: string): readonly Event[] => [command(line), decision({ kind: "body", verdict: sink })];

test("each chunk is answered when it came, and the last one by the sink (RFC 3030 §2)", () => {
  const begun = run(talking(), ...addressed, command("BDAT 10"));
  assert.deepEqual(begun.did, ["ask"]);
  const receiving = run(begun.state, decision({ kind: "body", verdict: sink }));
  assert.deepEqual(receiving.did, ["receiveChunk"]);
  const between = run(receiving.state, came);
  assert.deepEqual(between.did, ["250"]);
  assert.equal(between.state.phase.name, "chunking");
  const last = run(between.state, command("BDAT 0 LAST"));
  assert.deepEqual(last.did, ["receiveChunk"]);
  const taken = run(last.state, { kind: "bodyTaken", reply: reply(250, "2.0.0", "Ok") });
  assert.deepEqual(taken.did, ["250"]);
  assert.equal(taken.state.phase.name, "idle");
});

test("between chunks the sink is kept by nothing but what leaves the transaction open", () => {
  const { state } = run(talking(), ...addressed, ...first("BDAT 10"), came);
  assert.ok(keepsBody(state));
  for (const line of ["NOOP", "VRFY b", "MAIL FROM:<a@c.test>", "RCPT TO:<c@mx.test>", "HELP", "BDAT 3"]) {
    assert.ok(keepsBody(run(state, command(line)).state), line);
  }
  for (const line of ["RSET", "EHLO c.test", "QUIT", "BDAT 91"]) {
    assert.ok(!keepsBody(run(state, command(line)).state), line);
  }
});

test("MAIL, RCPT and DATA within a message of chunks are 503; DATA with octets behind it ends the session", () => {
  const { state } = run(talking(), ...addressed, ...first("BDAT 10"), came);
  for (const line of ["MAIL FROM:<a@c.test>", "RCPT TO:<c@mx.test>"]) {
    assert.deepEqual(run(state, command(line)).did, ["503"], line);
  }
  const data: Event = { kind: "command", command: { verb: "DATA" }, followed: false };
  assert.deepEqual(run(state, data).did, ["503"]);
  assert.deepEqual(run(state, command("DATA")).did, ["554", "close"]);
});

test("a refused chunk is skipped to its end before the refusal is said", () => {
  const wrong: readonly (readonly [before: readonly Event[], code: string])[] = [
    [[], "503"],
    [mail, "554"],
  ];
  for (const [before, code] of wrong) {
    const skipping = run(talking(), ...before, command("BDAT 10 LAST"));
    assert.deepEqual(skipping.did, ["skipChunk"]);
    const said = run(skipping.state, came);
    assert.deepEqual(said.did, [code]);
    assert.equal(said.state.phase.name, "idle");
  }
  const no: BodyVerdict = { kind: "refuse", reply: reply(550, "5.7.1", "No") };
  const refused = run(talking(), ...addressed, command("BDAT 10"), decision({ kind: "body", verdict: no }));
  assert.deepEqual(refused.did, ["skipChunk"]);
  assert.deepEqual(run(refused.state, came).did, ["550"]);
  const broken = run(talking(), ...addressed, command("BDAT 10"), decision({ kind: "failed" }));
  assert.deepEqual(broken.did, ["skipChunk"]);
  assert.deepEqual(run(broken.state, came).did, ["451"]);
});

test("a refusal that closes, and a demanded TLS", () => {
  const leave: BodyVerdict = { kind: "refuse", reply: reply(550, "5.7.1", "No"), close: true };
  const left = run(talking(), ...addressed, command("BDAT 10"), decision({ kind: "body", verdict: leave }));
  assert.deepEqual(left.did, ["550", "close"]);
  const strict = talking({}, { requireTls: true });
  assert.deepEqual(run(strict, command("BDAT 10"), came).did, ["530"]);
});

test("chunks in the pipeline behind a failed one are no faults, up to LAST; the one behind that is", () => {
  let { state } = run(talking(), ...addressed, command("BDAT 101"), came);
  assert.equal(state.phase.name, "spoiled");
  const errors = state.tally.errors;
  for (const line of ["BDAT 10", "BDAT 20 LAST"]) {
    const skipped = run(state, command(line), came);
    assert.deepEqual(skipped.did, ["503"], line);
    ({ state } = skipped);
  }
  assert.equal(state.tally.errors, errors);
  assert.equal(state.phase.name, "idle");
  assert.equal(run(state, command("BDAT 0"), came).state.tally.errors, errors + 1);
});

test("after a failed chunk RSET is not demanded, and a new transaction has its whole size again", () => {
  const spoiled = run(talking(), ...addressed, command("BDAT 101"), came).state;
  for (const reset of [[], [command("RSET")]]) {
    const again = run(spoiled, ...reset, ...addressed, command("BDAT 100"));
    assert.deepEqual(again.did, ["ask"]);
    assert.deepEqual(run(again.state, decision({ kind: "body", verdict: sink }), came, command("BDAT 1")).did, [
      "skipChunk",
    ]);
  }
  const midway = run(talking(), ...addressed, ...first("BDAT 90"), came, command("RSET"), ...addressed).state;
  assert.deepEqual(run(midway, ...first("BDAT 100 LAST")).did, ["receiveChunk"]);
});

test("what is skipped is bounded: by octets announced, and by chunks of none", () => {
  assert.deepEqual(run(talking(), command("BDAT 5101")).did, ["552", "close"]);
  let { state } = run(talking(), ...addressed, command("BDAT 101"), came);
  let chunks = 0;
  for (; chunks < 100; chunks++) {
    ({ state } = run(state, command("BDAT 0")));
    if (state.phase.name === "closed") break;
    ({ state } = run(state, came));
  }
  assert.ok(chunks < 6, `${chunks} chunks`);
});

test("chunks of no octets that lead nowhere end", () => {
  let { state } = run(talking(), ...addressed, ...first("BDAT 0"), came);
  for (let i = 0; i < 2; i++) ({ state } = run(state, command("BDAT 0"), came));
  assert.equal(state.phase.name, "chunking");
  assert.deepEqual(run(state, command("BDAT 0")).did, ["421", "close"]);
});

test("a bad body is told at the end of its chunk, and spoils the message", () => {
  const bad = run(talking(), ...addressed, ...first("BDAT 10"), { kind: "bodyRefused", problem: "bareNewline" });
  assert.deepEqual(bad.did, ["554"]);
  assert.equal(bad.state.phase.name, "spoiled");
  const last = run(talking(), ...addressed, ...first("BDAT 10 LAST"), { kind: "bodyRefused", problem: "nul" });
  assert.equal(last.state.phase.name, "idle");
});

test("BODY=BINARYMIME needs BDAT (RFC 3030 §3)", () => {
  const binary = [
    command("MAIL FROM:<a@c.test> BODY=BINARYMIME"),
    decision({ kind: "mail", verdict: accept }),
    ...rcpt,
  ];
  const { state } = run(talking(), ...binary);
  assert.deepEqual(run(state, { kind: "command", command: { verb: "DATA" }, followed: false }).did, ["503"]);
  const { actions } = step(run(state, command("BDAT 1")).state, decision({ kind: "body", verdict: sink }));
  assert.deepEqual(
    actions.map((action) => action.kind === "receiveChunk" && action.binary),
    [true],
  );
});

test("stop: a message of chunks may end first", () => {
  const open = run(talking(), ...addressed, ...first("BDAT 10"), came, { kind: "stop" });
  assert.deepEqual(open.did, []);
  const last = run(open.state, command("BDAT 1 LAST"), { kind: "bodyTaken", reply: reply(250, "2.0.0", "Ok") });
  assert.deepEqual(last.did, ["250", "421", "close"]);
});

const lmtp = { protocol: "lmtp" } as const;
const two = [...addressed, ...rcpt];
const codes = (...given: readonly number[]): Reply[] =>
  given.map((code) => reply(code, `${Math.floor(code / 100)}.0.0`, ""));

test("LMTP: the end of a message gets a reply for each recipient, other chunks get one (RFC 2033 §4.2, §4.3)", () => {
  const { state } = run(talking(lmtp), ...two, ...first("BDAT 10"), came, command("BDAT 1 LAST"));
  const taken = (said: Reply | readonly Reply[]) => run(state, { kind: "bodyTaken", reply: said });
  assert.deepEqual(taken(codes(250, 452)).did, ["250", "452"]);
  assert.deepEqual(taken(reply(250, "2.0.0", "Ok")).did, ["250", "250"]);
  assert.deepEqual(taken(codes(550, 550)).did, ["550", "550"]);
  assert.deepEqual(taken(codes(250, 421)).did, ["250", "421", "close"]);
  assert.deepEqual(taken(codes(250)).did, ["451", "451"], "a sink with too few replies");
  assert.deepEqual(
    taken([...codes(250), reply(354, null, "Go on")]).did,
    ["451", "451"],
    "a sink with a reply that is none",
  );
  assert.deepEqual(run(state, { kind: "bodyRefused", problem: "failed" }).did, ["451", "451"]);
});

test("LMTP: a refused end of a message too, and one without recipients gets none", () => {
  assert.deepEqual(run(talking(lmtp), ...two, command("BDAT 101 LAST"), came).did, ["552", "552"]);
  const spoiled = run(talking(lmtp), ...two, command("BDAT 101"), came);
  assert.deepEqual(spoiled.did, ["552"]);
  assert.deepEqual(run(spoiled.state, command("BDAT 1 LAST"), came).did, ["503", "503"]);
  assert.deepEqual(run(talking(lmtp), ...mail, command("BDAT 1"), came).did, ["503"]);
  assert.deepEqual(run(talking(lmtp), ...mail, command("BDAT 1 LAST"), came).did, []);
  const data: Event = { kind: "command", command: { verb: "DATA" }, followed: false };
  assert.deepEqual(run(talking(lmtp), ...mail, data).did, ["503"]);
});

test("LMTP has its own hello, and SMTP none of it (RFC 2033 §4.1)", () => {
  assert.deepEqual(run(talking(lmtp), command("EHLO c.test")).did, ["500"]);
  assert.deepEqual(run(talking(lmtp), command("HELO c.test")).did, ["500"]);
  assert.deepEqual(run(talking(), command("LHLO c.test")).did, ["502"]);
});

test("MAILMAX counts every MAIL, whatever became of it, and STARTTLS begins anew (RFC 9422)", () => {
  const refused = [command("MAIL FROM:<a@c.test> X=1"), command("MAIL FROM:<a@c.test> SIZE=101")];
  const { state } = run(talking(), ...refused, ...mail, command("RSET"));
  assert.deepEqual(run(state, command("MAIL FROM:<a@c.test>")).did, ["421", "close"]);
});
