import assert from "node:assert/strict";
import { test } from "node:test";
import { type Result, unwrap } from "../base/index.ts";
import { SASL_MECHANISMS } from "../smtp/index.ts";
import { parseConfig } from "./load.ts";
import type { Config } from "./model.ts";
import type { ConfigProblem } from "./problems.ts";

function parsed(...sections: readonly string[]): Result<Config, readonly ConfigProblem[]> {
  const head = 'hostname = "mx.test"\n[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n';
  return parseConfig([head, ...sections].join("\n"), "/etc/postern.toml");
}

const keysOf = (config: Result<Config, readonly ConfigProblem[]>): readonly string[] =>
  config.ok ? [] : config.error.map(({ key }) => key);

const OAUTH = '[auth.oauth]\nissuer = "https://id.test/realm"\naudience = "mail"\n';

test("without [auth] every mechanism is offered that can be, and no token counts", () => {
  const plain = { mechanisms: [...SASL_MECHANISMS], source: { kind: "users" }, oauth: null };
  assert.deepEqual(unwrap(parsed()).auth, plain);
  assert.deepEqual(unwrap(parsed('[auth]\nmechanisms = ["PLAIN"]')).auth.mechanisms, ["PLAIN"]);
  assert.deepEqual(keysOf(parsed('[auth]\nmechanisms = ["CRAM-MD5"]')), ["auth.mechanisms"]);
  assert.deepEqual(keysOf(parsed("[auth]\nmechanisms = []")), ["auth.mechanisms"]);
});

test("tokens are checked by published keys, a file of keys, or by asking", () => {
  assert.deepEqual(unwrap(parsed(OAUTH, 'jwks_url = "https://id.test/keys"')).auth.oauth, {
    issuer: "https://id.test/realm",
    audience: "mail",
    keys: { kind: "url", url: "https://id.test/keys" },
    userClaim: "email",
    algorithms: ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"],
    scope: null,
    clockSkew: 30_000,
    keyLifetime: 600_000,
    ca: [],
  });
  const file = unwrap(parsed(OAUTH, 'jwks_file = "keys.json"\nca = ["ca.pem"]')).auth.oauth;
  assert.deepEqual(file?.keys, { kind: "file", file: "/etc/keys.json" });
  assert.deepEqual(file?.ca, ["/etc/ca.pem"]);
  const asked = 'introspection_url = "https://id.test/ask"\nclient_id = "mx"\nclient_secret_file = "secret"';
  assert.deepEqual(unwrap(parsed(OAUTH, asked)).auth.oauth?.keys, {
    kind: "introspection",
    url: "https://id.test/ask",
    clientId: "mx",
    secretFile: "/etc/secret",
  });
});

test("what cannot check a token, or would do so twice, is told", () => {
  assert.deepEqual(keysOf(parsed(OAUTH)), ["auth.oauth"]);
  assert.deepEqual(keysOf(parsed(OAUTH, 'jwks_url = "https://id.test/keys"\njwks_file = "x"')), [
    "auth.oauth.jwks_file",
  ]);
  assert.deepEqual(keysOf(parsed(OAUTH, 'jwks_url = "https://id.test/keys"\nclient_id = "x"')), [
    "auth.oauth.client_id",
  ]);
  const alone = 'introspection_url = "https://id.test/ask"\nclient_id = "x"';
  assert.deepEqual(keysOf(parsed(OAUTH, alone)), ["auth.oauth.introspection_url"]);
});

test("keys come over https alone, and no token is checked by a shared key", () => {
  for (const url of ["http://id.test/keys", "file:///keys", "id.test", "https://user:secret@id.test/"]) {
    assert.deepEqual(keysOf(parsed(OAUTH, `jwks_url = "${url}"`)), ["auth.oauth.jwks_url"], url);
  }
  for (const algorithm of ["HS256", "none", "dir"]) {
    const section = `jwks_file = "x"\nalgorithms = ["${algorithm}"]`;
    assert.deepEqual(keysOf(parsed(OAUTH, section)), ["auth.oauth.algorithms"], algorithm);
  }
});

test("a peer logs in as a user only where users log in", () => {
  const peer = `[[peer]]\nname = "scanner"\nspki = ["${"ab".repeat(32)}"]\nuser = "scanner@here.test"\n`;
  const listener = (service: string): string =>
    `[tls]\ncertificate = "c"\nprivate_key = "k"\n[[listener]]\naddress = "127.0.0.1:587"\nservice = "${service}"\nclient_certificates = "request"\n`;
  assert.deepEqual(keysOf(parsed(listener("mx"), peer)), ["peer.user"]);
  assert.equal(unwrap(parsed(listener("submission"), peer)).peers[0]?.user, "scanner@here.test");
});

test("mechanisms by which nobody could log in are told", () => {
  const submission =
    '[tls]\ncertificate = "c"\nprivate_key = "k"\n[[listener]]\naddress = "127.0.0.1:587"\nservice = "submission"\n';
  const users = (auth: string, ...more: readonly string[]) => keysOf(parsed(submission, `[auth]\n${auth}`, ...more));
  assert.deepEqual(users('mechanisms = ["SCRAM-SHA-256", "EXTERNAL"]\nsource = "dovecot:/run/auth"'), [
    "auth.mechanisms",
  ]);
  assert.deepEqual(users('mechanisms = ["OAUTHBEARER", "XOAUTH2"]'), ["auth.mechanisms"]);
  assert.deepEqual(users('mechanisms = ["OAUTHBEARER"]', OAUTH, 'jwks_url = "https://id.test/keys"'), []);
  assert.deepEqual(users('mechanisms = ["SCRAM-SHA-256"]'), []);
  assert.deepEqual(users('mechanisms = ["PLAIN"]\nsource = "https://id.test/check"'), []);
  assert.deepEqual(keysOf(parsed('[auth]\nmechanisms = ["OAUTHBEARER"]')), [], "without a listener nobody is kept out");
});
