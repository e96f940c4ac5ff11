import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8, unwrap } from "../base/index.ts";
import {
  type Command,
  formatCommand,
  formatMailParameters,
  formatPath,
  formatRcptParameters,
  parseCommand,
  parseMailbox,
  readMailParameters,
} from "./index.ts";

const parse = (line: string) => parseCommand(encodeUtf8(line));
const sender = unwrap(parseMailbox("a@b.c"));

test("each verb, in any case, with white space behind", () => {
  const cases: readonly [string, Command][] = [
    ["EHLO client.test", { verb: "EHLO", client: "client.test" }],
    ["ehlo [IPv6:2001:db8::1]", { verb: "EHLO", client: "[IPv6:2001:db8::1]" }],
    ["HELO my_host", { verb: "HELO", client: "my_host" }],
    ["LHLO  x", { verb: "LHLO", client: "x" }],
    ["StartTLS", { verb: "STARTTLS" }],
    ["DATA \t", { verb: "DATA" }],
    ["rset", { verb: "RSET" }],
    ["QUIT ", { verb: "QUIT" }],
    ["NOOP", { verb: "NOOP", argument: null }],
    ["NOOP any thing", { verb: "NOOP", argument: "any thing" }],
    ["HELP MAIL", { verb: "HELP", argument: "MAIL" }],
    ["VRFY jöe", { verb: "VRFY", argument: "jöe" }],
    ["EXPN list", { verb: "EXPN", argument: "list" }],
    ["ETRN example.org", { verb: "ETRN", argument: "example.org" }],
    ["AUTH plain", { verb: "AUTH", mechanism: "PLAIN", initial: null }],
    ["AUTH SCRAM-SHA-256 =", { verb: "AUTH", mechanism: "SCRAM-SHA-256", initial: "=" }],
    ["AUTH LOGIN dGlt", { verb: "AUTH", mechanism: "LOGIN", initial: "dGlt" }],
    ["BDAT 0", { verb: "BDAT", size: 0, last: false }],
    ["BDAT 1000 last", { verb: "BDAT", size: 1000, last: true }],
    ["MAIL FROM:<>", { verb: "MAIL", reversePath: null, parameters: [] }],
    ["mail from:  <a@b.c>", { verb: "MAIL", reversePath: sender, parameters: [] }],
    ["RCPT TO:<@x:a@b.c>", { verb: "RCPT", forwardPath: sender, parameters: [] }],
    ["RCPT TO: <PostMaster>", { verb: "RCPT", forwardPath: "postmaster", parameters: [] }],
    [
      "MAIL FROM:<a@b.c>  size=10 Body=8bitmime  SMTPUTF8",
      {
        verb: "MAIL",
        reversePath: sender,
        parameters: [
          { keyword: "SIZE", value: "10" },
          { keyword: "BODY", value: "8bitmime" },
          { keyword: "SMTPUTF8", value: null },
        ],
      },
    ],
  ];
  for (const [line, command] of cases) assert.deepEqual(parse(line), { ok: true, value: command }, line);
});

test("arguments of the wrong form", () => {
  for (const [line, verb] of [
    ["EHLO", "EHLO"],
    ["EHLO a b", "EHLO"],
    ["EHLO a(b)", "EHLO"],
    ['HELO "x"', "HELO"],
    ["HELO <x>", "HELO"],
    ["EHLO bücher.example", "EHLO"],
    [`EHLO ${"a".repeat(256)}`, "EHLO"],
    ["STARTTLS now", "STARTTLS"],
    ["DATA x", "DATA"],
    ["RSET x", "RSET"],
    ["QUIT x", "QUIT"],
    ["VRFY", "VRFY"],
    ["EXPN ", "EXPN"],
    ["AUTH", "AUTH"],
    ["AUTH PLAIN a b", "AUTH"],
    ["AUTH ABCDEFGHIJKLMNOPQRSTU", "AUTH"],
    ["AUTH PL/AIN", "AUTH"],
    ["BDAT", "BDAT"],
    ["BDAT -1", "BDAT"],
    ["BDAT 1 LAST x", "BDAT"],
    ["BDAT 1LAST", "BDAT"],
    ["BDAT 0x10", "BDAT"],
    ["BDAT 9007199254740993", "BDAT"],
    ["BDAT 100000000000000000000000", "BDAT"],
    ["MAIL", "MAIL"],
    ["MAIL <a@b.c>", "MAIL"],
    ["MAIL TO:<a@b.c>", "MAIL"],
    ["RCPT FROM:<a@b.c>", "RCPT"],
    ["MAIL FROM :<a@b.c>", "MAIL"],
    ["MAIL FROM:<a@b.c>SIZE=1", "MAIL"],
    ["MAIL FROM:<a@b.c> SIZE==1", "MAIL"],
    ["MAIL FROM:<a@b.c> SIZE=", "MAIL"],
    ["MAIL FROM:<a@b.c> =1", "MAIL"],
    ["MAIL FROM:<a@b.c> -A=1", "MAIL"],
    ["MAIL FROM:<a@b.c> S\u0131ZE=1", "MAIL"],
  ] as const) {
    const result = parse(line);
    assert.ok(!result.ok && result.error.kind === "badArgument" && result.error.verb === verb, line);
  }
});

test("addresses of the wrong form", () => {
  for (const line of [
    "MAIL FROM:",
    "MAIL FROM:a@b.c",
    "MAIL FROM:<a>",
    "RCPT TO:<>",
    "RCPT TO:<a@b..c>",
    "RCPT TO:<a@b",
  ]) {
    const result = parse(line);
    assert.ok(!result.ok && result.error.kind === "badAddress" && result.error.verb === line.slice(0, 4), line);
  }
});

test("verbs that are none, letters that only look like theirs among them", () => {
  for (const line of [
    "",
    " ",
    " NOOP",
    "FOO",
    "MAIL:",
    "NOOP: x",
    "R\u017fET",
    "QU\u0131T",
    "constructor",
    "__proto__",
    "250 OK",
  ]) {
    const result = parse(line);
    assert.ok(!result.ok && result.error.kind === "unknownVerb", line);
  }
  const long = parse("X".repeat(500));
  assert.ok(!long.ok && long.error.kind === "unknownVerb" && long.error.verb.length < 40);
});

test("octets that may stand in no command", () => {
  for (const octet of [0, 1, 7, 8, 9, 10, 11, 12, 13, 27, 0x7f]) {
    const line = Uint8Array.of(...encodeUtf8("NOOP a"), octet, 0x62);
    assert.deepEqual(parseCommand(line), { ok: false, error: { kind: "badOctets" } }, String(octet));
  }
  const broken = [
    Uint8Array.of(0x4e, 0xff),
    Uint8Array.of(0x16, 3, 1),
    encodeUtf8("NOOP \u0085"),
    encodeUtf8("NOOP \u2028"),
  ];
  for (const line of broken) assert.deepEqual(parseCommand(line), { ok: false, error: { kind: "badOctets" } });
});

test("HTTP is known by its request line and its fields", () => {
  const lines = [
    "GET / HTTP/1.1",
    "POST /a",
    "put /",
    "HEAD /",
    "OPTIONS *",
    "CONNECT a:25",
    "DELETE /",
    "PATCH /",
    "TRACE /",
  ];
  for (const line of [...lines, "GET", "Host: mail", "user-agent: x", "Content-Length: 4", "PRI * HTTP/2.0"]) {
    assert.deepEqual(parse(line), { ok: false, error: { kind: "http" } }, line);
  }
});

test("nothing that breaks a line is ever written", () => {
  assert.deepEqual(formatCommand("NOOP"), encodeUtf8("NOOP\r\n"));
  for (const bad of ["\r", "\n", "\r\nRCPT TO:<x@y>", "\0"]) assert.throws(() => formatCommand(`EHLO a${bad}`));
});

const everything = new Set(["SIZE", "8BITMIME", "BINARYMIME", "SMTPUTF8", "AUTH", "DSN", "REQUIRETLS"]);

test("what a client writes, a server reads", () => {
  const parameters = { size: 10, auth: sender, envid: "a=b c" };
  const line = `MAIL FROM:${formatPath(sender)}${formatMailParameters(parameters)}`;
  const command = unwrap(parse(line));
  assert.ok(command.verb === "MAIL");
  assert.deepEqual(command.reversePath, sender);
  assert.deepEqual(unwrap(readMailParameters(command.parameters, everything)), parameters);
  assert.equal(formatRcptParameters({}), "");
});

test("any octets at all are a command or a problem, and no value of a command holds controls", () => {
  const words = fc.constantFrom("EHLO ", "MAIL FROM:<", "RCPT TO:<", "AUTH ", "BDAT ", "VRFY ", "a@b> ", "@", '"');
  const piece = fc.oneof(words.map(encodeUtf8), fc.uint8Array({ maxLength: 8 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const result = parseCommand(new Uint8Array(Buffer.concat(pieces)));
      if (result.ok) assert.doesNotMatch(JSON.stringify(result.value), /[\u0000-\u001f\u007f-\u009f]|\\u00/);
    }),
  );
});
