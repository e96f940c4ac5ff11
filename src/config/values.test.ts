import assert from "node:assert/strict";
import { test } from "node:test";
import {
  parseByteSize,
  parseDuration,
  parseEndpoint,
  parseLocalDelivery,
  parseMatch,
  parseNetwork,
  parseRecipient,
  parseTimeout,
  parseVia,
  splitHostPort,
} from "./values.ts";

function takes<T>(parse: (text: string) => { ok: boolean; value?: T }, text: string, value: T): void {
  assert.deepEqual(parse(text), { ok: true, value }, text);
}

function refuses(parse: (text: string) => { ok: boolean }, ...texts: readonly string[]): void {
  for (const text of texts) assert.equal(parse(text).ok, false, text);
}

test("sizes", () => {
  takes(parseByteSize, "50 MiB", 52_428_800);
  takes(parseByteSize, "1KiB", 1024);
  takes(parseByteSize, "7 B", 7);
  refuses(
    parseByteSize,
    "",
    "50",
    "50 MB",
    "0 MiB",
    "-1 KiB",
    "1.5 MiB",
    "50 mib",
    " 50 MiB",
    "99999999999 GiB",
    "1  KiB",
  );
});

test("durations", () => {
  takes(parseDuration, "30s", 30_000);
  takes(parseDuration, "5m", 300_000);
  takes(parseDuration, "4 h", 14_400_000);
  takes(parseDuration, "366d", 31_622_400_000);
  refuses(parseDuration, "", "5", "0s", "367d", "5 weeks", "-5m", "1h30m", "5M");
  takes(parseTimeout, "1d", 86_400_000);
  refuses(parseTimeout, "25h", "30d", "0s");
});

test("endpoints", () => {
  takes((text) => parseEndpoint(text), "127.0.0.1:0", { address: "127.0.0.1", port: 0 });
  takes((text) => parseEndpoint(text), "[::]:65535", { address: "::", port: 65_535 });
  takes((text) => parseEndpoint(text, 53), "::1".replace(/.*/, "[$&]"), { address: "::1", port: 53 });
  refuses(
    (text) => parseEndpoint(text),
    "",
    "25",
    ":25",
    "localhost:25",
    "127.0.0.1",
    "127.0.0.1:65536",
    "::1:25",
    "[127.0.0.1]:25",
  );
});

test("networks", () => {
  takes(parseNetwork, "10.0.0.0/8", "10.0.0.0/8");
  takes(parseNetwork, "192.0.2.1", "192.0.2.1/32");
  takes(parseNetwork, "2001:db8::/032", "2001:db8::/32");
  refuses(
    parseNetwork,
    "",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/",
    "10/8",
    "a/8",
    "10.0.0.0/8/8",
    "fe80::1%eth0",
    "10.0.0.0/-1",
  );
});

test("matches", () => {
  takes(parseMatch, "*", "*");
  takes(parseMatch, "Example.ORG", "example.org");
  takes(parseMatch, ".Example.org", ".example.org");
  refuses(parseMatch, "", ".", "*.example.org", "a b", "a@b.test", "..a.test");
});

test("next hops", () => {
  takes(parseVia, "mx", { kind: "mx" });
  takes(parseVia, "smtp://127.0.0.1:2599", { kind: "smtp", host: "127.0.0.1", port: 2599 });
  takes(parseVia, "smtps://Relay.example.net", { kind: "smtps", host: "relay.example.net", port: 465 });
  takes(parseVia, "lmtp://[::1]:24", { kind: "lmtp", host: "::1", port: 24 });
  refuses(
    parseVia,
    "",
    "MX",
    "smtp:/a:25",
    "lmtp://a.test",
    "smtp://a.test:0",
    "smtp://a.test/x",
    "http://a.test",
    "smtp://u@a.test",
  );
});

test("local deliveries", () => {
  takes(parseLocalDelivery, "discard:", { kind: "discard" });
  takes(parseLocalDelivery, "maildir:m/{domain}/{user}", { kind: "maildir", path: "m/{domain}/{user}" });
  takes(parseLocalDelivery, "lmtp://dovecot.test:24", { kind: "lmtp", host: "dovecot.test", port: 24 });
  refuses(
    parseLocalDelivery,
    "",
    "discard",
    "maildir:",
    "maildir:{usr}",
    "maildir:{user",
    "maildir:a\0b",
    "lmtp://a.test",
    "mbox:x",
  );
});

test("hosts and ports", () => {
  assert.deepEqual(splitHostPort("mail.test:25", null), { host: "mail.test", port: 25 });
  assert.deepEqual(splitHostPort("[::1]", 25), { host: "::1", port: 25 });
  for (const text of ["", "a:b:1", "[::1", "a:", "a:99999", "[a.test]:25"])
    assert.equal(splitHostPort(text, null), null, text);
});

test("a recipient is what stands before the @, or *", () => {
  assert.deepEqual(parseRecipient("*"), { ok: true, value: "*" });
  for (const name of ["ann", "ann.lee", "Sales+eu", "b\u00fccher"])
    assert.deepEqual(parseRecipient(name), { ok: true, value: name });
  assert.deepEqual(parseRecipient('"two words"'), { ok: true, value: "two words" });
  for (const wrong of ["", "ann@example.org", "two words", ".ann", "a\nb", "a".repeat(300)]) {
    assert.equal(parseRecipient(wrong).ok, false, JSON.stringify(wrong));
  }
});
