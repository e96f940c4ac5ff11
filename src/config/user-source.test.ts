import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./load.ts";
import { parseUserLimit } from "./sending-limits.ts";

function auth(section: string) {
  const base = 'hostname = "x.test"\n[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n';
  const parsed = parseConfig(`${base}${section}`, "/etc/postern.toml");
  return parsed.ok ? parsed.value : parsed.error.map(({ key, problem }) => `${key}: ${problem}`);
}

test("users come from the file, from a Dovecot, or from a web service", () => {
  for (const [written, source] of [
    ["users", { kind: "users" }],
    ["dovecot:/run/dovecot/auth-client", { kind: "dovecot", at: { path: "/run/dovecot/auth-client" } }],
    ["dovecot:run/auth", { kind: "dovecot", at: { path: "/etc/run/auth" } }],
    ["dovecot:192.0.2.1:12345", { kind: "dovecot", at: { host: "192.0.2.1", port: 12_345 } }],
    ["dovecot:[2001:db8::1]:5", { kind: "dovecot", at: { host: "2001:db8::1", port: 5 } }],
    ["dovecot:imap.test:5", { kind: "dovecot", at: { host: "imap.test", port: 5 } }],
    ["https://id.test/check?for=mail", { kind: "http", url: "https://id.test/check?for=mail", ca: ["/etc/ca.pem"] }],
    ["http://127.0.0.1:8080/", { kind: "http", url: "http://127.0.0.1:8080/", ca: ["/etc/ca.pem"] }],
    ["http://[::1]/x", { kind: "http", url: "http://[::1]/x", ca: ["/etc/ca.pem"] }],
  ] as const) {
    const config = auth(`[auth]\nsource = "${written}"\nsource_ca = ["ca.pem"]\n`);
    assert.deepEqual("auth" in config && config.auth.source, source, written);
  }
});

test("a source that is none, or would send passwords in clear text, is named with its line", () => {
  for (const written of [
    "",
    "user",
    "dovecot:",
    "dovecot:host",
    "dovecot:a b:5",
    "dovecot:x.test:0",
    "ldap://x.test",
    "ftp://x.test/",
  ]) {
    const problems = auth(`[auth]\nsource = "${written}"\n`);
    assert.ok(Array.isArray(problems) && problems[0]?.startsWith("auth.source: "), written);
  }
  assert.deepEqual(auth('[auth]\nsource = "http://id.test/"\n'), [
    "auth.source: passwords would go over the network in clear text; use https",
  ]);
  const withPassword = auth('[auth]\nsource = "https://a:b@id.test/"\n');
  assert.match(String(withPassword), /password/);
});

test("a user's limit is written as in the configuration, or as none or default", () => {
  for (const [written, expected] of [
    ["messages_per_hour=5", { limit: "messages_per_hour", value: 5 }],
    ["message_size=10 MiB", { limit: "message_size", value: 10 * 1024 * 1024 }],
    ["sessions=none", { limit: "sessions", value: 0 }],
    ["message_size=default", { limit: "message_size", value: null }],
  ] as const) {
    const parsed = parseUserLimit(written);
    assert.deepEqual(parsed.ok && parsed.value, expected);
  }
  for (const written of [
    "",
    "messages_per_hour",
    "messages_per_hour=",
    "messages_per_hour=-1",
    "messages_per_hour=1.5",
    "messages_per_hour=10000001",
    "message_size=5",
    "toString=1",
    "messages=1",
  ]) {
    assert.equal(parseUserLimit(written).ok, false, written);
  }
});
