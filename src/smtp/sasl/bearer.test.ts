import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EMPTY, encodeUtf8, unwrap } from "../../base/index.ts";
import { createSaslClient, createSaslServer, type SaslServerStep, type ScramCrypto } from "./index.ts";

const nothing = (): Uint8Array => EMPTY;
const crypto: ScramCrypto = { hash: nothing, hmac: nothing, pbkdf2: nothing, nonce: () => "x" };

function server(mechanism: string) {
  const made = createSaslServer(mechanism, { crypto, decoySecret: EMPTY, decoyIterations: 4096 });
  assert.ok(made);
  return made;
}

/** What a first message comes to. */
function read(mechanism: string, message: string | Uint8Array): string {
  const step = server(mechanism).next(typeof message === "string" ? encodeUtf8(message) : message);
  if (step.kind === "token") return `${step.authzid ?? "-"} ${step.token}`;
  if (step.kind === "external") return step.authzid ?? "-";
  return step.kind === "failed" ? step.reason : step.kind;
}

const challengeOf = (step: SaslServerStep): unknown => {
  assert.equal(step.kind, "challenge");
  return step.kind === "challenge" ? JSON.parse(Buffer.from(step.data).toString()) : null;
};

test("OAUTHBEARER reads the messages of RFC 7628 §4", () => {
  const token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
  const message = `n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer ${token}\x01\x01`;
  assert.equal(read("OAUTHBEARER", message), `user@example.com ${token}`);
  assert.equal(read("OAUTHBEARER", `n,,\x01auth=bearer  ${token}\x01\x01`), `- ${token}`);
  assert.equal(read("OAUTHBEARER", `y,a=a=3Db=2Cc,\x01auth=BEARER x\x01\x01`), "a=b,c x");
  assert.equal(read("OAUTHBEARER", "n,a=user@example.com,\x01auth=\x01\x01"), "user@example.com ", "only asks");
  assert.equal(read("OAUTHBEARER", "n,,\x01\x01"), "- ", "only asks");
});

test("OAUTHBEARER refuses what is against its grammar (RFC 7628 §3.1)", () => {
  const wrong = [
    "",
    "\x01",
    "n,,",
    "n,,\x01",
    "n,,\x01auth=Bearer x",
    "n,,\x01auth=Bearer x\x01",
    "n,,auth=Bearer x\x01\x01",
    "p=tls-exporter,,\x01auth=Bearer x\x01\x01",
    "n,a=,\x01auth=Bearer x\x01\x01",
    "n,a=b=c,\x01auth=Bearer x\x01\x01",
    "n,,\x01auth=Basic eDp4\x01\x01",
    "n,,\x01auth=Bearer\x01\x01",
    "n,,\x01auth=Bearer x y\x01\x01",
    "n,,\x01auth=Bearer x=y\x01\x01",
    "n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
    "n,,\x01au1=Bearer x\x01\x01",
    "n,,\x01=Bearer x\x01\x01",
    "n,,\x01host\x01auth=Bearer x\x01\x01",
    "n,,\x01host=\x00\x01auth=Bearer x\x01\x01",
    `n,,\x01auth=Bearer ${"x".repeat(9216)}\x01\x01`,
  ];
  for (const message of wrong) assert.equal(read("OAUTHBEARER", message), "malformed", message.slice(0, 40));
  assert.equal(read("OAUTHBEARER", Uint8Array.of(0x6e, 0x2c, 0x2c, 1, 0xff, 1, 1)), "malformed");
});

test("XOAUTH2 reads a user and a token", () => {
  assert.equal(read("XOAUTH2", "user=a@b.test\x01auth=Bearer ya29.x-_\x01\x01"), "a@b.test ya29.x-_");
  assert.equal(read("XOAUTH2", "user=\x01auth=Bearer x\x01\x01"), "- x");
  for (const message of [
    "",
    "user=a",
    "user=a\x01",
    "user=a\x01auth=Bearer x\x01",
    "user=\u0000\x01auth=Bearer x\x01\x01",
  ]) {
    assert.equal(read("XOAUTH2", message), "malformed", message);
  }
});

test("a rejected token is told why, and the exchange ends in a no whatever the client answers (RFC 7628 §3.2.3)", () => {
  const configuration = "https://id.test/.well-known/openid-configuration";
  for (const [mechanism, message, expected] of [
    [
      "OAUTHBEARER",
      "n,,\x01auth=Bearer x\x01\x01",
      { status: "invalid_token", scope: "mail", "openid-configuration": configuration },
    ],
    ["XOAUTH2", "user=a\x01auth=Bearer x\x01\x01", { status: "401", schemes: "bearer", scope: "mail" }],
  ] as const) {
    for (const answer of [Uint8Array.of(1), EMPTY, encodeUtf8(message)]) {
      const exchange = server(mechanism);
      const step = exchange.next(encodeUtf8(message));
      assert.ok(step.kind === "token");
      const told = step.reject({ status: "invalid_token", scope: "mail", configuration });
      assert.deepEqual(challengeOf(told), expected);
      assert.deepEqual(step.reject({ status: "invalid_token", scope: null, configuration: null }).kind, "failed");
      assert.deepEqual(exchange.next(answer), { kind: "failed", reason: "credentials" });
      assert.deepEqual(exchange.next(encodeUtf8(message)), { kind: "failed", reason: "malformed" });
    }
  }
  const bare = server("OAUTHBEARER").next(encodeUtf8("n,,\x01\x01"));
  assert.ok(bare.kind === "token");
  const told = bare.reject({ status: "insufficient_scope", scope: null, configuration: null });
  assert.deepEqual(challengeOf(told), { status: "insufficient_scope" });
});

test("what our clients send, our servers read", () => {
  const token = fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,100}={0,2}$/);
  const user = fc.stringMatching(/^[a-zA-Z0-9,=@ü]{1,60}$/);
  for (const mechanism of ["OAUTHBEARER", "XOAUTH2"]) {
    fc.assert(
      fc.property(user, token, (authcid, bearer) => {
        const client = createSaslClient(mechanism, { authcid, token: bearer }, crypto);
        assert.ok(client?.complete);
        assert.equal(read(mechanism, client.initial ?? EMPTY), `${authcid} ${bearer}`);
        unwrap(client.next(EMPTY));
        assert.equal(client.complete, false, "a yes after a no is none");
        assert.equal(client.next(EMPTY).ok, false);
      }),
    );
  }
});

test("EXTERNAL says whom to act for, or nothing (RFC 4422 appendix A)", () => {
  assert.equal(read("EXTERNAL", ""), "-");
  assert.equal(read("EXTERNAL", "fred@example.com"), "fred@example.com");
  assert.equal(read("EXTERNAL", "a\0b"), "malformed");
  assert.equal(read("EXTERNAL", Uint8Array.of(0xff)), "malformed");
  assert.equal(read("EXTERNAL", "x".repeat(1025)), "malformed");
  const asked = server("EXTERNAL");
  assert.deepEqual(asked.next(null), { kind: "challenge", data: EMPTY });
  assert.deepEqual(asked.next(EMPTY), { kind: "external", authzid: null });
  assert.deepEqual(asked.next(EMPTY), { kind: "failed", reason: "malformed" });
});

test("credentials are said only by the mechanisms they are for", () => {
  const said = (credentials: Parameters<typeof createSaslClient>[1]) =>
    ["EXTERNAL", "SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"].filter(
      (mechanism) => createSaslClient(mechanism, credentials, crypto) !== null,
    );
  assert.deepEqual(said({ external: true }), ["EXTERNAL"]);
  assert.deepEqual(said({ authcid: "a", token: "t" }), ["OAUTHBEARER", "XOAUTH2"]);
  assert.deepEqual(said({ authcid: "a", password: "p" }), ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
  assert.throws(() => said({ authcid: "a", token: "t\x01" }));
  assert.throws(() => said({ external: true, authzid: "a\0" }));
});
