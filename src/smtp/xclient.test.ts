import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../base/index.ts";
import { formatXtext, parseCommand, type XclientAttributes } from "./index.ts";

function read(line: string): XclientAttributes | string {
  const parsed = parseCommand(encodeUtf8(line));
  if (!parsed.ok) return parsed.error.kind;
  return parsed.value.verb === "XCLIENT" ? parsed.value.attributes : parsed.value.verb;
}

test("attributes in any case and order, addresses as others here write them", () => {
  const cases: readonly [string, XclientAttributes][] = [
    ["XCLIENT ADDR=192.0.2.1", { address: "192.0.2.1" }],
    ["xclient addr=192.0.2.1 Name=spike.example", { address: "192.0.2.1", name: "spike.example" }],
    ["XCLIENT ADDR=IPV6:2001:DB8:0::1", { address: "2001:db8::1" }],
    ["XCLIENT ADDR=ipv6:::ffff:192.0.2.1", { address: "192.0.2.1" }],
    ["XCLIENT NAME=[UNAVAILABLE] ADDR=[unavailable]", { name: null, address: null }],
    ["XCLIENT NAME=[TempUnavail]", { name: null }],
    [
      "XCLIENT PORT=4000 DESTPORT=25 DESTADDR=192.0.2.25",
      { port: 4000, destinationPort: 25, destination: "192.0.2.25" },
    ],
    ["XCLIENT PORT=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]", { port: null, destinationPort: null }],
    ["XCLIENT DESTADDR=[UNAVAILABLE] LOGIN=[UNAVAILABLE]", { destination: null, login: null }],
    ["XCLIENT PROTO=smtp HELO=spike.example", { protocol: "SMTP", helo: "spike.example" }],
    ["XCLIENT PROTO=ESMTP HELO=[192.0.2.1]", { protocol: "ESMTP", helo: "[192.0.2.1]" }],
    ["XCLIENT HELO=[UNAVAILABLE]", { helo: null }],
    ["XCLIENT LOGIN=ada+2Bme@example.org", { login: "ada+me@example.org" }],
    ["XCLIENT LOGIN=J+C3+B6rg+20K", { login: "Jörg K" }],
    ["XCLIENT  LOGIN=ada  NAME=x ", { login: "ada", name: "x" }],
  ];
  for (const [line, attributes] of cases) assert.deepEqual(read(line), attributes, line);
});

test("what is wrong is refused whole", () => {
  const arguments_ = [
    "",
    "NAME",
    "NAME=",
    "=x",
    "COLOR=blue",
    "NAME=a NAME=b",
    "name=a NAME=[UNAVAILABLE]",
    "NAME=a COLOR=blue",
    "NAME=a=b",
    "NAME=a+",
    "NAME=a+2b",
    "NAME=a+20b",
    "NAME=a+0D+0AMAIL",
    "NAME=(comment)",
    `NAME=${"x".repeat(256)}`,
    "HELO=a+0Ab",
    "HELO=b+C3+BCro",
    "LOGIN=",
    "LOGIN=ada+00",
    "LOGIN=ada+0D+0A",
    "LOGIN=ada+FF",
    `LOGIN=${"x".repeat(256)}`,
    "ADDR=",
    "ADDR=[192.0.2.1]",
    "ADDR=192.0.2.256",
    "ADDR=2001:db8::1",
    "ADDR=IPV6:192.0.2.1",
    "ADDR=IPV6:fe80::1%eth0",
    "ADDR=x:y",
    "ADDR=spike.example",
    "PORT=65536",
    "PORT=-1",
    "PORT=0x19",
    "PORT=smtp",
    "PROTO=LMTP",
    "PROTO=[UNAVAILABLE]",
  ];
  for (const argument of arguments_) assert.equal(read(`XCLIENT ${argument}`), "badArgument", argument);
});

test("any login without controls comes out as it went in, and nothing throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }), (login) => {
      const found = read(`XCLIENT LOGIN=${formatXtext(login)}`);
      if (typeof found === "string") assert.match(login, /[\p{Cc}\u2028\u2029\ud800-\udfff]|^\[(?:temp)?unavail/iu);
      else assert.equal(found.login, login);
    }),
  );
  fc.assert(fc.property(fc.string({ maxLength: 80 }), (text) => void read(`XCLIENT ${text}`)));
});
