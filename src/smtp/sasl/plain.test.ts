import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EMPTY, encodeUtf8, ok, unwrap } from "../../base/index.ts";
import { createSaslClient, createSaslServer, decodeBase64, encodeBase64, type ScramCrypto } from "./index.ts";

/** PLAIN and LOGIN use none of it. */
const noCrypto: ScramCrypto = { hash: () => EMPTY, hmac: () => EMPTY, pbkdf2: () => EMPTY, nonce: () => "n" };

function server(mechanism: string) {
  const made = createSaslServer(mechanism, { crypto: noCrypto, decoySecret: EMPTY, decoyIterations: 4096 });
  assert.ok(made);
  return made;
}

const malformed = { kind: "failed", reason: "malformed" };
const accepted = { kind: "password", authzid: null, authcid: "tim", password: "tan staaf" };

test("PLAIN with and without an initial response (RFC 4616 §4)", () => {
  assert.deepEqual(server("PLAIN").next(encodeUtf8("\0tim\0tan staaf")), accepted);
  const asked = server("PLAIN");
  assert.deepEqual(asked.next(null), { kind: "challenge", data: EMPTY });
  assert.deepEqual(asked.next(encodeUtf8("Ursel\0Kurt\0xipj3plmq")), {
    kind: "password",
    authzid: "Ursel",
    authcid: "Kurt",
    password: "xipj3plmq",
  });
  assert.deepEqual(asked.next(encodeUtf8("\0tim\0tan staaf")), malformed);
});

test("PLAIN refuses what has another number of fields, empty, too long or unreadable ones", () => {
  const messages = ["", "\0", "\0\0", "a\0b", "\0\0c", "\0b\0", "\0b\0c\0", "\0b\nb\0c", `\0${"b".repeat(1025)}\0c`];
  for (const message of messages) assert.deepEqual(server("PLAIN").next(encodeUtf8(message)), malformed, message);
  assert.deepEqual(server("PLAIN").next(Uint8Array.of(0, 0xff, 0, 0x41)), malformed);
});

test("LOGIN asks for name and password; an initial response is the name", () => {
  const asked = server("LOGIN");
  assert.deepEqual(asked.next(null), { kind: "challenge", data: encodeUtf8("Username:") });
  assert.deepEqual(asked.next(encodeUtf8("tim")), { kind: "challenge", data: encodeUtf8("Password:") });
  assert.deepEqual(asked.next(encodeUtf8("tan staaf")), accepted);
  assert.deepEqual(asked.next(encodeUtf8("tan staaf")), malformed);
  const told = server("LOGIN");
  assert.deepEqual(told.next(encodeUtf8("tim")), { kind: "challenge", data: encodeUtf8("Password:") });
  assert.deepEqual(told.next(encodeUtf8("tan staaf")), accepted);
});

test("LOGIN refuses empty answers", () => {
  assert.deepEqual(server("LOGIN").next(EMPTY), malformed);
  const told = server("LOGIN");
  told.next(encodeUtf8("tim"));
  assert.deepEqual(told.next(EMPTY), malformed);
});

test("what the clients send, the servers read", () => {
  const credentials = { authcid: "tïm", password: "tän staaf" };
  const expected = { kind: "password", authzid: null, ...credentials };
  const plain = createSaslClient("PLAIN", credentials, noCrypto);
  assert.ok(plain?.complete);
  assert.deepEqual(server("PLAIN").next(plain.initial), expected);
  assert.equal(plain.next(EMPTY).ok, false);

  const login = createSaslClient("LOGIN", credentials, noCrypto);
  assert.ok(login && login.initial === null && !login.complete);
  const asked = server("LOGIN");
  asked.next(null);
  asked.next(unwrap(login.next(encodeUtf8("User Name"))));
  assert.equal(login.complete, false);
  assert.deepEqual(asked.next(unwrap(login.next(encodeUtf8("Password")))), expected);
  assert.equal(login.complete, true);
  assert.equal(login.next(EMPTY).ok, false);
});

test("unknown mechanisms are null, and NUL in credentials is a bug", () => {
  assert.equal(createSaslClient("CRAM-MD5", { authcid: "a", password: "b" }, noCrypto), null);
  assert.equal(createSaslClient("LOGIN", { authcid: "a", password: "b", authzid: "c" }, noCrypto), null);
  assert.equal(createSaslServer("plain", { crypto: noCrypto, decoySecret: EMPTY, decoyIterations: 4096 }), null);
  assert.throws(() => createSaslClient("PLAIN", { authcid: "a\0b", password: "c" }, noCrypto));
});

test("base64 is strict", () => {
  for (const text of [
    "=",
    "*",
    "A",
    "AA",
    "AAA",
    "AA=A",
    "A===",
    "====",
    "AB==",
    "AAB=",
    "AAAA\n",
    " AAAA",
    "AA-_",
    "AAAAé",
  ]) {
    assert.equal(decodeBase64(text), null, text);
  }
  assert.deepEqual(decodeBase64(""), EMPTY);
  assert.deepEqual(decodeBase64(encodeUtf8("AAE=")), Uint8Array.of(0, 1));
});

test("base64 decodes what it encodes, as everybody does", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
      const text = encodeBase64(octets);
      assert.equal(text, Buffer.from(octets).toString("base64"));
      assert.deepEqual(ok(decodeBase64(text)), ok(octets));
    }),
  );
});
