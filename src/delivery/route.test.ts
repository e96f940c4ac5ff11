import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { type Mailbox, parseMailbox } from "../smtp/index.ts";
import { asciiDomain, type RouteRule, RouteTable, recipientTest } from "./route.ts";

const to = (address: string): Mailbox => unwrap(parseMailbox(address));
const smarthost = { kind: "smtp", host: "relay.test", port: 587 } as const;

test("a configured domain wins over every route", () => {
  const table = new RouteTable(
    [{ name: "Here.Test", deliver: { kind: "discard" } }],
    [{ match: "*", via: smarthost, tls: "verified" }],
  );
  assert.equal(table.route(to("a@here.test")).kind, "local");
  assert.equal(table.route(to("a@HERE.test")).key, "local:discard:here.test");
  assert.equal(table.route(to("a@sub.here.test")).kind, "relay");
});

test("the first rule that matches wins; names, sub-domains and everything", () => {
  const rules: RouteRule[] = [
    { match: "a.test", via: { kind: "mx" }, tls: "verified" },
    { match: ".a.test", via: { kind: "mx" }, tls: "encrypted" },
    { match: "a.test", via: { kind: "mx" }, tls: "off" },
    { match: "*", via: smarthost },
  ];
  const table = new RouteTable([], rules);
  const tls = (address: string): string => {
    const route = table.route(to(address));
    return route.kind === "mx" || route.kind === "relay" ? `${route.kind} ${route.demand.level}` : route.kind;
  };
  assert.equal(tls("x@a.test"), "mx verified");
  assert.equal(tls("x@b.a.test"), "mx encrypted");
  assert.equal(tls("x@c.b.a.test"), "mx encrypted");
  assert.equal(tls("x@ba.test"), "relay opportunistic");
  assert.equal(tls("x@[192.0.2.1]"), "relay opportunistic");
});

test("without a rule mail goes to the exchangers of its domain, TLS where offered", () => {
  const route = new RouteTable([], []).route(to("a@Elsewhere.Test"));
  assert.deepEqual(route, {
    kind: "mx",
    domain: "elsewhere.test",
    demand: {
      level: "opportunistic",
      reason: "no route matches",
      ca: null,
      pins: [],
      minVersion: "TLSv1.2",
      clientCertificate: null,
    },
    key: "elsewhere.test",
  });
});

test("domains of one smarthost share a queue, unless they must prove different things", () => {
  const table = new RouteTable(
    [],
    [
      { match: "strict.test", via: smarthost, tls: "verified" },
      { match: "pinned.test", via: smarthost, tls: "verified", pins: ["00".repeat(32)] },
      { match: "new.test", via: smarthost, minVersion: "TLSv1.3" },
      { match: "*", via: smarthost },
    ],
  );
  const key = (address: string): string => table.route(to(address)).key;
  assert.equal(key("a@one.test"), "smtp://relay.test:587");
  assert.equal(key("a@two.test"), key("a@one.test"));
  const keys = ["a@strict.test", "a@pinned.test", "a@new.test", "a@one.test"].map(key);
  assert.equal(new Set(keys).size, keys.length);
});

test("U-labels and A-labels are one domain", () => {
  const table = new RouteTable([{ name: "b\u00fccher.test", deliver: { kind: "discard" } }], []);
  assert.equal(table.route(to("a@b\u00fccher.test")).kind, "local");
  assert.equal(table.route(to("a@xn--bcher-kva.test")).kind, "local");
  assert.equal(asciiDomain("B\u00dcCHER.test"), "xn--bcher-kva.test");
});

test("no name turns into an IP address on its way to DNS", () => {
  assert.equal(asciiDomain("1.2"), "1.2");
  assert.equal(asciiDomain("0x7f.1"), "0x7f.1");
  assert.equal(asciiDomain("\uff11.2.3.4"), null);
  assert.equal(asciiDomain("a\u2024\u3002"), null);
  assert.equal(asciiDomain("[192.0.2.1]"), "[192.0.2.1]");
});

test("who is not among a domain's recipients has no mailbox, however the address is written", () => {
  const deliver = { kind: "maildir", path: "/mail/{user}" } as const;
  const knows = recipientTest([
    { name: "here.test", deliver, recipients: ["Ann", "b\u00fcro"] },
    { name: "open.test", deliver },
    { name: "lmtp.test", deliver: { kind: "lmtp", host: "h.test", port: 24 }, recipients: ["*"] },
    { name: "nobody.test", deliver: { kind: "discard" }, recipients: [] },
  ]);
  const known = [
    "ann@here.test",
    "ANN+lists@HERE.test",
    "bu\u0308ro@here.test",
    "PostMaster@here.test",
    "any@open.test",
  ];
  const foreign = ["ann@elsewhere.test", "ann@[192.0.2.1]"];
  for (const address of [...known, ...foreign, '"../x"@lmtp.test', "postmaster@nobody.test"]) {
    assert.equal(knows(to(address)), true, address);
  }
  for (const address of ["bob@here.test", "an@here.test", "+ann@here.test", "ann@nobody.test"]) {
    assert.equal(knows(to(address)), false, address);
  }
});

test("a local part that can name no Maildir has none, so that it is refused and not reported", () => {
  const knows = recipientTest([
    { name: "here.test", deliver: { kind: "maildir", path: "/mail/the-mailbox-of-{user}-at-{domain}" } },
  ]);
  for (const address of ['".."@here.test', "a/b@here.test", `${"x".repeat(235)}@here.test`]) {
    assert.equal(knows(to(address)), false, address);
  }
  assert.equal(knows(to(`${"x".repeat(200)}@here.test`)), true);
});

test("a mailbox that is no more is a route of its own, for mail that was taken before", () => {
  const table = new RouteTable([{ name: "here.test", deliver: { kind: "discard" }, recipients: ["ann"] }], []);
  assert.deepEqual(table.route(to("bob@here.test")), {
    kind: "unknown",
    domain: "here.test",
    key: "unknown:here.test",
  });
  assert.equal(table.route(to("ann@here.test")).kind, "local");
});
