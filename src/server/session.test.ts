import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, unwrap } from "../base/index.ts";
import { parseCommand, parseDomain, reply } from "../smtp/index.ts";
import { defaultOffer } from "./define-policy.ts";
import type { Offer, Verdict } from "./policy.ts";
import { openSession, rebornSession, step } from "./session.ts";
import type { Action, Decision, Event, SessionSettings, State } from "./state.ts";

const settings: SessionSettings = {
  hostname: unwrap(parseDomain("mx.test")),
  protocol: "smtp",
  secure: false,
  startTls: "offered",
  certificate: "notRequired",
  xclient: null,
  limits: { errors: 10, softErrors: 3, tarpit: 0, refusals: 100, junk: 100, transactions: 1000, discard: 100 },
};
const accept: Verdict = { kind: "accept" };

function command(line: string, followed = false): Event {
  return { kind: "command", command: unwrap(parseCommand(encodeUtf8(line))), followed };
}

function decision(made: Decision, followed = false): Event {
  return { kind: "decision", decision: made, followed };
}

/** Runs events through the session; gives its last state and, for the last event, what it did. */
function run(state: State, ...events: readonly Event[]): { state: State; did: readonly string[] } {
  let did: readonly Action[] = [];
  for (const event of events) ({ state, actions: did } = step(state, event));
  return { state, did: did.map((action) => (action.kind === "reply" ? String(action.reply.code) : action.kind)) };
}

function ehlo(offer: Partial<Offer> = {}): readonly Event[] {
  return [command("EHLO c.test"), decision({ kind: "hello", verdict: accept, offer: { ...defaultOffer, ...offer } })];
}

const opened = run(openSession(settings), decision({ kind: "connect", verdict: accept, requireTls: false })).state;
const mail: readonly Event[] = [command("MAIL FROM:<a@c.test>"), decision({ kind: "mail", verdict: accept })];
const rcpt: readonly Event[] = [command("RCPT TO:<b@mx.test>"), decision({ kind: "recipient", verdict: accept })];
const data: readonly Event[] = [
  command("DATA"),
  decision({ kind: "body", verdict: { kind: "accept", sink: nowhere() } }),
];

function nowhere() {
  return { write() {}, finish: () => reply(250, "2.0.0", "Ok"), abort() {} };
}

test("a question is asked before anything is said, and answered by its decision", () => {
  const asked = run(opened, ...ehlo(), command("MAIL FROM:<a@c.test>"));
  assert.deepEqual(asked.did, ["ask"]);
  assert.equal(asked.state.phase.name, "asking");
  const answered = run(asked.state, decision({ kind: "mail", verdict: accept }));
  assert.deepEqual(answered.did, ["250"]);
  assert.equal(answered.state.phase.name, "transaction");
});

test("the body is received only after 354, and its end closes the transaction", () => {
  const receiving = run(opened, ...ehlo({ messageSize: 77 }), ...mail, ...rcpt, ...data);
  assert.deepEqual(receiving.did, ["354", "receiveBody"]);
  const done = run(receiving.state, { kind: "bodyTaken", reply: reply(250, "2.0.0", "Ok") });
  assert.deepEqual(done.did, ["250"]);
  assert.equal(done.state.phase.name, "idle");
});

test("octets that came while the policy was thinking about DATA end the session without a 354", () => {
  const thinking = run(opened, ...ehlo(), ...mail, ...rcpt, command("DATA"));
  const verdict = { kind: "accept", sink: nowhere() } as const;
  const decided = run(thinking.state, decision({ kind: "body", verdict }, true));
  assert.deepEqual(decided.did, ["554", "close"]);
});

test("octets behind DATA end the session before anybody is asked", () => {
  assert.deepEqual(run(opened, ...ehlo(), ...mail, ...rcpt, command("DATA", true)).did, ["554", "close"]);
});

test("a recipient beyond the limit is 452, no fault, and those before it stay", () => {
  const few = ehlo({ recipients: 2 });
  const beyond = run(opened, ...few, ...mail, ...rcpt, ...rcpt, command("RCPT TO:<c@mx.test>"));
  assert.deepEqual(beyond.did, ["452"]);
  assert.equal(beyond.state.tally.errors, 0);
  const { phase } = beyond.state;
  assert.equal(phase.name === "transaction" && phase.transaction.recipients.length, 2);
  assert.deepEqual(run(opened, ...few, ...mail, ...rcpt, command("RCPT TO:<c@mx.test>")).did, ["ask"]);
});

test("faults end: the last one allowed is answered and followed by 421; a browser has none", () => {
  const faults = (count: number): readonly Event[] => Array.from({ length: count }, () => command("DATA"));
  assert.deepEqual(run(opened, ...ehlo(), ...faults(9)).did, ["503"]);
  assert.deepEqual(run(opened, ...ehlo(), ...faults(10)).did, ["503", "421", "close"]);
  assert.equal(run(opened, { kind: "badLine", problem: { kind: "http" } }).did.at(-1), "close");
});

test("a session reborn inside TLS knows nothing, and is not greeted again", () => {
  const reborn = rebornSession({ ...settings, secure: true });
  assert.deepEqual(run(reborn, ...mail.slice(0, 1)).did, ["503"]);
  assert.deepEqual(run(reborn, command("STARTTLS")).did, ["503"]);
  assert.deepEqual(run(reborn, command("NOOP")).did, ["250"]);
});

test("STARTTLS followed by octets begins no handshake; alone it ends the session", () => {
  assert.deepEqual(run(opened, command("STARTTLS", true)).did, ["554", "close"]);
  const ready = run(opened, command("STARTTLS"));
  assert.deepEqual(ready.did, ["220", "startTls"]);
  assert.throws(() => run(ready.state, command("NOOP")));
});

test("a refusal that is none, and a reply of a sink that is none, become 451", () => {
  const no: Verdict = { kind: "refuse", reply: reply(250, "2.0.0", "Ok") };
  const refused = run(opened, ...ehlo(), ...mail.slice(0, 1), decision({ kind: "mail", verdict: no }));
  assert.deepEqual(refused.did, ["451"]);
  assert.equal(refused.state.phase.name, "idle");
  const receiving = run(opened, ...ehlo(), ...mail, ...rcpt, ...data).state;
  assert.deepEqual(run(receiving, { kind: "bodyTaken", reply: reply(354, null, "Go on") }).did, ["451"]);
});

test("421 from the policy closes", () => {
  const busy: Verdict = { kind: "refuse", reply: reply(421, "4.3.2", "Busy") };
  assert.deepEqual(run(opened, ...ehlo(), ...mail.slice(0, 1), decision({ kind: "mail", verdict: busy })).did, [
    "421",
    "close",
  ]);
});

test("a failed policy is 451 and changes nothing; before the greeting it is 421", () => {
  const transaction = run(opened, ...ehlo(), ...mail).state;
  const failed = run(transaction, command("RCPT TO:<b@mx.test>"), decision({ kind: "failed" }));
  assert.deepEqual(failed.did, ["451"]);
  assert.deepEqual(failed.state.phase, transaction.phase);
  assert.deepEqual(run(openSession(settings), decision({ kind: "failed" })).did, ["421", "close"]);
});

test("stop ends an idle session at once and an open transaction after it", () => {
  assert.deepEqual(run(opened, { kind: "stop" }).did, ["421", "close"]);
  assert.deepEqual(run(openSession(settings), { kind: "stop" }).did, ["421", "close"]);
  const open = run(opened, ...ehlo(), ...mail, { kind: "stop" });
  assert.deepEqual(open.did, []);
  const received = run(open.state, ...rcpt, ...data, { kind: "bodyTaken", reply: reply(250, "2.0.0", "Ok") });
  assert.deepEqual(received.did, ["250", "421", "close"]);
  assert.deepEqual(run(open.state, command("RSET")).did, ["250", "421", "close"]);
});

test("from the third fault on a tarpit delays the reply", () => {
  const slow = { ...opened, settings: { ...settings, limits: { ...settings.limits, tarpit: 1 } } };
  const bad: Event = { kind: "badLine", problem: { kind: "unknownVerb", verb: "X" } };
  assert.deepEqual(run(slow, bad, bad).did, ["500"]);
  assert.deepEqual(run(slow, bad, bad, bad).did, ["delay", "500"]);
});

test("demanded TLS: every verb but the seven is 530, before EHLO and after", () => {
  const strict = run(openSession(settings), decision({ kind: "connect", verdict: accept, requireTls: true })).state;
  const talked = run(strict, ...ehlo({ requireTls: true })).state;
  for (const line of ["MAIL FROM:<a@c.test>", "RCPT TO:<b@mx.test>", "DATA", "AUTH PLAIN", "VRFY b"]) {
    for (const state of [strict, talked]) assert.deepEqual(run(state, command(line)).did, ["530"], line);
  }
});

test("AUTH is never offered in clear text and STARTTLS never inside TLS", () => {
  const mechanisms = ["PLAIN"];
  const clear = run(opened, ...ehlo({ mechanisms })).state.phase;
  const secure = run(rebornSession({ ...settings, secure: true }), ...ehlo({ mechanisms })).state.phase;
  assert.ok(clear.name === "idle" && secure.name === "idle");
  assert.ok(clear.talk.offered.has("STARTTLS") && !clear.talk.offered.has("AUTH"));
  assert.ok(secure.talk.offered.has("AUTH") && !secure.talk.offered.has("STARTTLS"));
});

test("the policy cannot smuggle an engine extension into the offer", () => {
  const idle = run(
    opened,
    ...ehlo({
      extensions: [
        ["auth", "PLAIN"],
        ["XTRA", "1"],
      ],
    }),
  ).state.phase;
  assert.ok(idle.name === "idle" && !idle.talk.offered.has("AUTH") && idle.talk.offered.has("XTRA"));
});

test("BDAT that cannot be counted, or was not offered, ends the session, for its chunk would be read as commands", () => {
  const helo = [command("HELO c.test"), decision({ kind: "hello", verdict: accept, offer: defaultOffer })];
  for (const before of [[], helo, [...helo, ...mail, ...rcpt]]) {
    for (const line of ["BDAT 5", "BDAT 5 LAST", "BDAT 0 LAST"]) {
      assert.deepEqual(run(opened, ...before, command(line)).did, ["502", "close"], line);
    }
  }
  for (const before of [[], ehlo(), [...ehlo(), ...mail], [...ehlo(), ...mail, ...rcpt]]) {
    const wrong = run(opened, ...before, {
      kind: "badLine",
      problem: { kind: "badArgument", verb: "BDAT", expected: "a chunk size" },
    });
    assert.deepEqual(wrong.did, ["501", "close"]);
  }
});

test("a client that asks for ever about too large a size is shown the door", () => {
  let { state } = run(opened, ...ehlo({ messageSize: 100 }));
  const codes: string[] = [];
  for (let i = 0; i < settings.limits.refusals; i++) {
    const asked = run(state, command("MAIL FROM:<a@c.test> SIZE=101"));
    state = asked.state;
    codes.push(asked.did.join(" "));
  }
  assert.deepEqual(new Set(codes.slice(0, -1)), new Set(["552"]));
  assert.equal(codes.at(-1), "552 421 close");
});

test("a certificate that is demanded: 530 to all that needs TLS, 554 to a stranger inside it, but for QUIT", () => {
  const at = (certificate: SessionSettings["certificate"], secure: boolean) =>
    rebornSession({ ...settings, certificate, secure });
  const awaited = run(at("awaited", false), ...ehlo()).state;
  assert.deepEqual(run(awaited, command("MAIL FROM:<a@c.test>")).did, ["530"]);
  assert.deepEqual(run(awaited, command("VRFY a")).did, ["530"]);
  assert.deepEqual(run(awaited, command("STARTTLS")).did, ["220", "startTls"]);
  for (const standing of ["missing", "unknown"] as const) {
    for (const line of ["EHLO c.test", "HELO c.test", "NOOP", "RSET", "HELP", "MAIL FROM:<a@c.test>", "STARTTLS"]) {
      assert.deepEqual(run(at(standing, true), command(line)).did, ["554"], `${standing} ${line}`);
    }
    assert.deepEqual(run(at(standing, true), command("BDAT 5 LAST")).did, ["502", "close"]);
    assert.deepEqual(run(at(standing, true), command("QUIT")).did, ["221", "close"]);
    let { state } = run(at(standing, true));
    let last: readonly string[] = [];
    for (let i = 0; i < settings.limits.errors; i++) ({ state, did: last } = run(state, command("NOOP")));
    assert.deepEqual(last, ["554", "421", "close"], "it counts as a fault each time");
  }
  assert.deepEqual(run(at("known", true), ...ehlo(), command("MAIL FROM:<a@c.test>")).did, ["ask"]);
});

test("a client's own bound on transactions counts in place of the server's", () => {
  const two = { ...settings, limits: { ...settings.limits, transactions: 2 } };
  for (const [own, allowed] of [
    [undefined, 2],
    [1, 1],
    [3, 3],
  ] as const) {
    let { state } = run(rebornSession(two), ...ehlo(own === undefined ? {} : { transactions: own }));
    for (let i = 0; i < allowed; i++) ({ state } = run(state, ...mail, command("RSET")));
    assert.deepEqual(run(state, command("MAIL FROM:<a@c.test>")).did, ["421", "close"], String(own));
  }
});
