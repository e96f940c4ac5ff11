import assert from "node:assert/strict";
import { pbkdf2Sync } from "node:crypto";
import { test } from "node:test";
import { encodeUtf8 } from "../base/index.ts";
import { createSaslServer, decodeBase64, encodeBase64, type Reply, reply, type ScramKeys } from "../smtp/index.ts";
import { authRules } from "./auth.ts";
import { nodeScramCrypto } from "./scram-crypto.ts";
import { beginOpening, type OpeningRules, type OpeningState, stepOpening } from "./session.ts";

/** A session over implicit TLS whose server offers `mechanisms`, up to the first AUTH line. */
class Dialogue {
  readonly #rules: OpeningRules;
  state: OpeningState;
  /** The last line sent. */
  line = "";
  sent = 0;

  constructor(mechanisms: string, auth: OpeningRules["auth"]) {
    this.#rules = { hello: "client.test", protocol: "smtp", tls: "implicit", auth };
    this.state = beginOpening(this.#rules);
    this.hear(reply(220, null, "mx.test"));
    this.hear(reply(250, null, "mx.test", `AUTH ${mechanisms}`));
  }

  hear(answer: Reply): void {
    const step = stepOpening(this.#rules, this.state, { kind: "reply", reply: answer });
    this.state = step.state;
    if (step.action.kind !== "send") return;
    this.line = step.action.line;
    this.sent++;
  }

  get outcome(): string {
    const { state } = this;
    if (state.phase !== "failed") return state.phase;
    return state.problem.kind === "refused" ? `refused ${state.problem.reply.code}` : state.problem.kind;
  }
}

const secret = authRules({ user: "ann", password: "pencil" }, null);
const challenge = (text: string): Reply => reply(334, null, encodeBase64(encodeUtf8(text)));
const welcome = reply(235, "2.7.0", "hello");

function keysOf(password: string): ScramKeys {
  const salt = encodeUtf8("0123456789abcdef");
  const iterations = 4096;
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const storedKey = nodeScramCrypto.hash(nodeScramCrypto.hmac(salted, encodeUtf8("Client Key")));
  return { salt, iterations, storedKey, serverKey: nodeScramCrypto.hmac(salted, encodeUtf8("Server Key")) };
}

/** Where an opening in clear text leads that hears these replies. */
function opened(tls: OpeningRules["tls"], auth: OpeningRules["auth"], ...replies: readonly Reply[]): readonly string[] {
  const rules: OpeningRules = { hello: "client.test", protocol: "smtp", tls, auth };
  let state = beginOpening(rules);
  const said: string[] = [];
  for (const heard of [reply(220, null, "mx.test"), ...replies]) {
    const step = stepOpening(rules, state, { kind: "reply", reply: heard });
    state = step.state;
    said.push(step.action.kind === "send" ? (step.action.line.split(" ")[0] ?? "") : step.action.kind);
  }
  return [...said, state.phase === "failed" ? state.problem.kind : state.phase];
}

test("in clear text no password is sent, whatever is offered there", () => {
  const offered = reply(250, null, "mx.test", "AUTH PLAIN");
  assert.deepEqual(opened("none", secret, offered), ["EHLO", "stop", "authNotOffered"]);
  assert.deepEqual(opened("opportunistic", secret, offered), ["EHLO", "stop", "authNotOffered"]);
});

test("where TLS is demanded a server that does not offer it, or refuses it, is left", () => {
  const [plain, able] = [reply(250, null, "mx.test"), reply(250, null, "mx.test", "STARTTLS")];
  const refusal = reply(454, "4.7.0", "not now");
  assert.deepEqual(opened("required", null, plain), ["EHLO", "stop", "tlsNotOffered"]);
  assert.deepEqual(opened("required", null, able, refusal), ["EHLO", "STARTTLS", "stop", "refused"]);
  assert.deepEqual(opened("opportunistic", null, plain), ["EHLO", "stop", "ready"]);
  assert.deepEqual(opened("opportunistic", null, able, refusal), ["EHLO", "STARTTLS", "stop", "ready"]);
});

test("SCRAM-SHA-256 goes first, and its server must prove itself", () => {
  for (const [known, outcome] of [
    [keysOf("pencil"), "ready"],
    [{ ...keysOf("pencil"), serverKey: keysOf("other").serverKey }, "protocol"],
  ] as const) {
    const dialogue = new Dialogue("LOGIN PLAIN SCRAM-SHA-256", secret);
    const server = createSaslServer("SCRAM-SHA-256", {
      crypto: nodeScramCrypto,
      decoySecret: encodeUtf8("x"),
      decoyIterations: 4096,
    });
    assert.ok(server !== null);
    const [verb, mechanism, initial = ""] = dialogue.line.split(" ");
    assert.deepEqual([verb, mechanism], ["AUTH", "SCRAM-SHA-256"]);
    let step = server.next(decodeBase64(initial));
    for (let round = 0; round < 4 && step.kind !== "authenticated" && dialogue.outcome === "auth"; round++) {
      if (step.kind === "lookup") step = step.supply(known);
      if (step.kind !== "challenge") break;
      dialogue.hear(reply(334, null, encodeBase64(step.data)));
      if (dialogue.outcome === "auth") step = server.next(decodeBase64(dialogue.line));
    }
    if (dialogue.outcome === "auth") dialogue.hear(welcome);
    assert.equal(dialogue.outcome, outcome);
  }
});

test("a yes before SCRAM's proof is no yes", () => {
  const dialogue = new Dialogue("SCRAM-SHA-256", secret);
  dialogue.hear(welcome);
  assert.equal(dialogue.outcome, "protocol");
});

test("PLAIN goes with its initial response", () => {
  const dialogue = new Dialogue("PLAIN LOGIN", secret);
  assert.equal(dialogue.line, `AUTH PLAIN ${encodeBase64(encodeUtf8("\0ann\0pencil"))}`);
  dialogue.hear(welcome);
  assert.equal(dialogue.outcome, "ready");
});

test("LOGIN answers two challenges, whatever they say, and not a third", () => {
  const dialogue = new Dialogue("LOGIN", secret);
  assert.equal(dialogue.line, "AUTH LOGIN");
  dialogue.hear(reply(334, null, "Username:"));
  assert.equal(dialogue.line, encodeBase64(encodeUtf8("ann")));
  dialogue.hear(challenge("Password:"));
  assert.equal(dialogue.line, encodeBase64(encodeUtf8("pencil")));
  const third = new Dialogue("LOGIN", secret);
  for (let round = 0; round < 3; round++) third.hear(challenge("?"));
  assert.equal(third.outcome, "protocol");
  dialogue.hear(welcome);
  assert.equal(dialogue.outcome, "ready");
});

test("an initial response too long for the line waits for an empty challenge (RFC 4954 §4)", () => {
  const long = authRules({ user: "ann", password: "p".repeat(600), mechanisms: ["plain"] }, null);
  const dialogue = new Dialogue("PLAIN", long);
  assert.equal(dialogue.line, "AUTH PLAIN");
  dialogue.hear(reply(334, null, ""));
  assert.equal(dialogue.line, encodeBase64(encodeUtf8(`\0ann\0${"p".repeat(600)}`)));
  const other = new Dialogue("PLAIN", long);
  other.hear(challenge("give me all"));
  assert.equal(other.outcome, "protocol");
});

test("wrong credentials end it; a refused mechanism leads to the next", () => {
  const wrong = new Dialogue("PLAIN LOGIN", secret);
  wrong.hear(reply(535, "5.7.8", "no"));
  assert.equal(wrong.outcome, "refused 535");
  for (const code of [504, 534]) {
    const dialogue = new Dialogue("SCRAM-SHA-256 PLAIN", secret);
    dialogue.hear(reply(code, null, "not this one"));
    assert.match(dialogue.line, /^AUTH PLAIN /);
    dialogue.hear(reply(code, null, "nor this"));
    assert.equal(dialogue.outcome, `refused ${code}`);
  }
});

test("endless challenges are cut off", () => {
  const dialogue = new Dialogue("X", {
    mechanisms: ["X"],
    start: () => ({ initial: null, complete: false, next: () => ({ ok: true, value: "" }) }),
  });
  for (let round = 0; round < 100; round++) if (dialogue.outcome === "auth") dialogue.hear(challenge("more"));
  assert.equal(dialogue.outcome, "protocol");
  assert.ok(dialogue.sent < 15, `${dialogue.sent} lines were sent`);
});

test("a mechanism that was not asked for is not used", () => {
  const dialogue = new Dialogue(
    "LOGIN PLAIN",
    authRules({ user: "ann", password: "x", mechanisms: ["SCRAM-SHA-256"] }, null),
  );
  assert.equal(dialogue.outcome, "authNotOffered");
});

test("challenges that are no base64, or of several lines, are refused", () => {
  for (const answer of [reply(334, null, "r=nonsense"), reply(334, null, "", "")]) {
    const dialogue = new Dialogue("SCRAM-SHA-256", secret);
    dialogue.hear(answer);
    assert.equal(dialogue.outcome, "protocol");
  }
});

test("a SCRAM server that wants to keep us busy is refused", () => {
  const dialogue = new Dialogue("SCRAM-SHA-256", secret);
  const initial = new TextDecoder().decode(decodeBase64(dialogue.line.split(" ")[2] ?? "") ?? new Uint8Array());
  const nonce = initial.split("r=")[1] ?? "";
  dialogue.hear(challenge(`r=${nonce}server,s=AAAA,i=2000000000`));
  assert.equal(dialogue.outcome, "protocol");
});

test("the client binds to TLS where -PLUS is offered, tells by y where it is not, and by n where it cannot (RFC 5802 §6)", () => {
  const binding = { type: "tls-exporter", data: encodeUtf8("exported") };
  const spoken = (offered: string, mechanisms?: readonly string[], bound: typeof binding | null = binding) => {
    const auth = { user: "ann", password: "pencil", ...(mechanisms === undefined ? {} : { mechanisms }) };
    const [, mechanism = "", initial = ""] = (new Dialogue(offered, authRules(auth, bound)).line ?? "").split(" ");
    return `${mechanism} ${Buffer.from(initial, "base64").toString().split(",")[0]}`;
  };
  assert.equal(spoken("PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"), "SCRAM-SHA-256-PLUS p=tls-exporter");
  assert.equal(spoken("PLAIN SCRAM-SHA-256"), "SCRAM-SHA-256 y");
  assert.equal(spoken("SCRAM-SHA-256 SCRAM-SHA-256-PLUS", ["SCRAM-SHA-256"]), "SCRAM-SHA-256 n", "by choice");
  assert.equal(spoken("SCRAM-SHA-256-PLUS SCRAM-SHA-256", undefined, null), "SCRAM-SHA-256 n", "nothing to bind to");
});

test("a token goes by OAUTHBEARER, else by XOAUTH2, and never as a password (RFC 7628 §3.1)", () => {
  const auth = { user: "ann@here.test", token: "ey.J0-_~+/==" };
  const dialogue = new Dialogue("PLAIN XOAUTH2 OAUTHBEARER", authRules(auth, null));
  const initial = encodeBase64(encodeUtf8("n,a=ann@here.test,\x01auth=Bearer ey.J0-_~+/==\x01\x01"));
  assert.equal(dialogue.line, `AUTH OAUTHBEARER ${initial}`);
  dialogue.hear(challenge('{"status":"invalid_token"}'));
  assert.equal(dialogue.line, "AQ==", "RFC 7628 §3.2.3");
  dialogue.hear(reply(535, "5.7.8", "no"));
  assert.equal(dialogue.outcome, "refused 535");
  const older = new Dialogue("PLAIN XOAUTH2", authRules(auth, null));
  assert.equal(
    older.line,
    `AUTH XOAUTH2 ${encodeBase64(encodeUtf8("user=ann@here.test\x01auth=Bearer ey.J0-_~+/==\x01\x01"))}`,
  );
  older.hear(challenge('{"status":"401"}'));
  assert.equal(older.line, "");
  older.hear(welcome);
  assert.equal(older.outcome, "protocol", "a yes after a no");
  assert.equal(new Dialogue("PLAIN LOGIN", authRules(auth, null)).outcome, "authNotOffered");
  assert.throws(() => authRules({ user: "ann", token: "x\x01auth=Bearer y" }, null));
});

test("a certificate speaks by EXTERNAL, with an empty response for whoever it says (RFC 4422 appendix A)", () => {
  assert.equal(new Dialogue("PLAIN EXTERNAL", authRules({ certificate: true }, null)).line, "AUTH EXTERNAL =");
  const named = new Dialogue("EXTERNAL", authRules({ certificate: true, user: "ann" }, null));
  assert.equal(named.line, "AUTH EXTERNAL YW5u");
  named.hear(welcome);
  assert.equal(named.outcome, "ready");
  assert.equal(new Dialogue("PLAIN", authRules({ certificate: true }, null)).outcome, "authNotOffered");
});
