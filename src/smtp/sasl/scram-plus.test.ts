import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { test } from "node:test";
import { EMPTY, encodeUtf8, unwrap } from "../../base/index.ts";
import {
  createSaslClient,
  createSaslServer,
  encodeBase64,
  type SaslChannel,
  type SaslServerStep,
  type ScramCrypto,
} from "./index.ts";
import { deriveKeys } from "./scram-keys.ts";

const EXPORTED = encodeUtf8("thirty-two octets of an exporter");
const END_POINT = encodeUtf8("the hash of a certificate");

const crypto: ScramCrypto = {
  hash: (data) => createHash("sha256").update(data).digest(),
  hmac: (key, data) => createHmac("sha256", key).update(data).digest(),
  pbkdf2: (password, salt, iterations) => pbkdf2Sync(password, salt, iterations, 32, "sha256"),
  nonce: () => "rOprNGfwEbeRWgbNEkqO",
};
const keys = deriveKeys(crypto, "pencil", encodeUtf8("0123456789abcdef"), 4096);

const bindings = (type: string) => ({ "tls-exporter": EXPORTED, "tls-server-end-point": END_POINT })[type] ?? null;

function server(mechanism: string, offered = true) {
  const options = { crypto, decoySecret: encodeUtf8("secret"), decoyIterations: 4096 };
  const made = createSaslServer(mechanism, offered ? { ...options, channelBinding: bindings } : options);
  assert.ok(made);
  return made;
}

function supplied(step: SaslServerStep): SaslServerStep {
  return step.kind === "lookup" ? step.supply(keys) : step;
}

/** Plays a whole exchange; the client sees `channel`, the server `bindings` where it offers -PLUS. */
function play(mechanism: string, channel: SaslChannel, { offered = true, password = "pencil" } = {}): string {
  const client = createSaslClient(mechanism, { authcid: "user", password }, crypto, channel);
  assert.ok(client);
  const exchange = server(mechanism, offered);
  let step = supplied(exchange.next(client.initial));
  while (step.kind === "challenge") step = exchange.next(unwrap(client.next(step.data)));
  if (step.kind === "authenticated") assert.ok(client.complete, "the server has proved itself");
  return step.kind === "failed" ? step.reason : step.kind;
}

const PLUS = "SCRAM-SHA-256-PLUS";

test("an exchange bound to TLS succeeds where both see the same, by either type (RFC 5802 §6)", () => {
  const plusOffered = true;
  assert.equal(play(PLUS, { plusOffered, binding: { type: "tls-exporter", data: EXPORTED } }), "authenticated");
  assert.equal(
    play(PLUS, { plusOffered, binding: { type: "tls-server-end-point", data: END_POINT } }),
    "authenticated",
  );
});

test("whoever sees another TLS session is refused, also with the right password", () => {
  const binding = { type: "tls-exporter", data: encodeUtf8("what a man in the middle has got") };
  assert.equal(play(PLUS, { plusOffered: true, binding }), "channelBinding");
  const swapped = { type: "tls-exporter", data: END_POINT };
  assert.equal(play(PLUS, { plusOffered: true, binding: swapped }), "channelBinding");
  const wrong = { type: "tls-exporter", data: EXPORTED };
  assert.equal(play(PLUS, { plusOffered: true, binding: wrong }, { password: "pencils" }), "credentials");
});

test("a client that was told of no -PLUS fails where it was offered, and passes where it was not", () => {
  const binding = { type: "tls-exporter", data: EXPORTED };
  assert.equal(play("SCRAM-SHA-256", { plusOffered: false, binding }), "channelBinding", "y: the offer was taken away");
  assert.equal(play("SCRAM-SHA-256", { plusOffered: false, binding }, { offered: false }), "authenticated");
  assert.equal(play("SCRAM-SHA-256", { plusOffered: true, binding }), "authenticated", "n: it does not want to");
  assert.equal(play("SCRAM-SHA-256", { plusOffered: true, binding: null }), "authenticated", "n: it cannot");
});

test("the flag must fit the mechanism, and the type be known (RFC 5802 §6, §7)", () => {
  const first = (mechanism: string, flag: string) => {
    const step = server(mechanism).next(encodeUtf8(`${flag},,n=user,r=abc`));
    return step.kind === "failed" ? step.reason : step.kind;
  };
  assert.equal(first(PLUS, "p=tls-exporter"), "lookup");
  assert.equal(first(PLUS, "n"), "malformed");
  assert.equal(first(PLUS, "y"), "channelBinding");
  assert.equal(first(PLUS, "p=tls-unique"), "channelBinding", "not known");
  for (const flag of ["p=", "p", "p=tls exporter", "q=tls-exporter", "P=tls-exporter", `p=${"x".repeat(65)}`]) {
    assert.equal(first(PLUS, flag), "malformed", flag);
  }
  assert.equal(first("SCRAM-SHA-256", "p=tls-exporter"), "malformed");
});

test("the header that was sent is bound too: neither cut off nor exchanged (RFC 5802 §5.1)", () => {
  for (const bound of ["p=tls-exporter,,", "n,,", "", `p=tls-server-end-point,,${Buffer.from(EXPORTED)}`]) {
    const exchange = server(PLUS);
    supplied(exchange.next(encodeUtf8("p=tls-exporter,,n=user,r=abc")));
    const final = `c=${encodeBase64(encodeUtf8(bound))},r=abcrOprNGfwEbeRWgbNEkqO,p=${encodeBase64(EMPTY)}`;
    assert.deepEqual(exchange.next(encodeUtf8(final)), { kind: "failed", reason: "channelBinding" }, bound);
  }
});

test("without anything to bind to there is no -PLUS, on either side", () => {
  const options = { crypto, decoySecret: EMPTY, decoyIterations: 4096 };
  assert.equal(createSaslServer(PLUS, options), null);
  assert.equal(createSaslClient(PLUS, { authcid: "user", password: "x" }, crypto), null);
});
