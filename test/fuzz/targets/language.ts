import assert from "node:assert/strict";
import { decodeUtf8, decodeUtf8Lenient } from "../../../src/base/index.ts";
import {
  announcedMechanisms,
  announcedSize,
  decodeBase64,
  encodeBase64,
  formatExtensions,
  formatMailbox,
  formatMailParameters,
  formatPath,
  formatRcptParameters,
  formatReply,
  formatXtext,
  MAX_PATH,
  parseAddressLiteral,
  parseCommand,
  parseDomain,
  parseMailbox,
  parseXtext,
  type RawParameter,
  ReplyDecoder,
  readExtensions,
  readMailParameters,
  readRcptParameters,
} from "../../../src/smtp/index.ts";
import { latin1, type Target } from "../target.ts";

const CONTROL = /[\u0000-\u001f\u007f]/;
const UTF8 = Buffer.from("jürgen", "utf8").toString("latin1");

/** Strings anywhere within a value that came out of a parser. */
function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

/** Keywords of every extension that brings parameters, offered or not yet. */
const offered: ReadonlySet<string> = new Set(
  "SIZE 8BITMIME BINARYMIME SMTPUTF8 AUTH DSN REQUIRETLS DELIVERBY FUTURERELEASE MT-PRIORITY CHUNKING XCLIENT".split(
    " ",
  ),
);

/** A command or a declared problem; no value of it could end a line; what is written again is read the same. */
export const commands: Target = {
  name: "command",
  words: [
    ...["EHLO ", "HELO ", "LHLO ", "MAIL FROM:", "RCPT TO:", "mail from:", "DATA", "BDAT ", " LAST", "AUTH PLAIN "],
    ...[
      "STARTTLS",
      "VRFY ",
      "EXPN ",
      "ETRN ",
      "NOOP ",
      "HELP",
      "QUIT",
      "RSET",
      "GET / HTTP/1.1",
      "Host: x",
      "XCLIENT ",
    ],
    ...["<a@b.test>", "<>", "<Postmaster>", "<@x.test,@y.test:a@b.test>", '<"a b"@b.test>', "<a@[192.0.2.1]>"],
    ...[` SIZE=1000`, " BODY=8BITMIME", " BODY=BINARYMIME", " SMTPUTF8", " AUTH=<>", " AUTH=a+2Bb@c.test", " RET=HDRS"],
    ...[" ENVID=a+2B+0D+0A", " NOTIFY=SUCCESS,FAILURE", " NOTIFY=NEVER", " ORCPT=rfc822;a+40b@c.test", " REQUIRETLS"],
    ...[
      " ORCPT=utf-8;\\x{1F600}@c.test",
      " BY=120;RT",
      " HOLDFOR=100",
      " HOLDUNTIL=2030-01-01T00:00:00Z",
      " MT-PRIORITY=3",
    ],
    ...[
      "XCLIENT NAME=a.test ADDR=192.0.2.1",
      " ADDR=IPV6:2001:db8::1",
      " LOGIN=a+2Bb",
      " NAME=[UNAVAILABLE]",
      " HELO=+0D+0A",
    ],
    ...[" PROTO=ESMTP", " PORT=25", " DESTADDR=192.0.2.2", " DESTPORT=65536"],
    ...[UTF8, " ", "=", "\t", "\0", "\r", "\n", "0", "18446744073709551616"],
  ],
  check(octets) {
    const parsed = parseCommand(octets);
    if (!parsed.ok) {
      const kinds = ["unknownVerb", "badArgument", "badAddress", "badOctets", "http"];
      assert.ok(kinds.includes(parsed.error.kind));
      assert.ok(
        !textsIn(parsed.error).some((text) => CONTROL.test(text)),
        "what a reply or a log repeats is printable",
      );
      return;
    }
    const command = parsed.value;
    assert.ok(!textsIn(command).some((text) => CONTROL.test(text)), "no value could end a line");
    if (command.verb === "MAIL") {
      const again = parseCommand(
        Buffer.from(`MAIL FROM:${formatPath(command.reversePath)}${written(command.parameters)}`),
      );
      assert.deepEqual(again.ok && again.value, command);
      const read = readMailParameters(command.parameters, offered);
      if (read.ok) sameAgain("MAIL FROM:<>", formatMailParameters(read.value), readMailParameters, read.value);
    } else if (command.verb === "RCPT") {
      const path = command.forwardPath === "postmaster" ? "<postmaster>" : formatPath(command.forwardPath);
      const again = parseCommand(Buffer.from(`RCPT TO:${path}${written(command.parameters)}`));
      assert.deepEqual(again.ok && again.value, command);
      const read = readRcptParameters(command.parameters, offered);
      if (read.ok) sameAgain("RCPT TO:<a@b.test>", formatRcptParameters(read.value), readRcptParameters, read.value);
    }
  },
};

function written(parameters: readonly RawParameter[]): string {
  return parameters.map(({ keyword, value }) => (value === null ? ` ${keyword}` : ` ${keyword}=${value}`)).join("");
}

/** Parameters, once understood and written for the next hop, are a line that means the same there. */
function sameAgain(
  line: string,
  parameters: string,
  read: typeof readMailParameters | typeof readRcptParameters,
  meant: unknown,
): void {
  assert.ok(!CONTROL.test(parameters), "one line");
  const command = parseCommand(Buffer.from(line + parameters));
  assert.ok(command.ok && "parameters" in command.value, `${line}${parameters} is understood again`);
  const again = read(command.value.parameters, offered);
  assert.deepEqual(again.ok && again.value, meant);
}

/** Mailboxes, domains and literals: what is parsed is within its limits and is written as it is parsed. */
export const addresses: Target = {
  name: "address",
  words: [
    ...["a", "@", "b.test", ".", '"', "\\", "[", "]", "192.0.2.1", "IPv6:", "::1", "2001:db8::1", "ffff:", "xn--", "-"],
    ...[
      UTF8,
      "\xef\xbc\x8e",
      "\xe3\x80\x82",
      "postmaster",
      " ",
      "<",
      ">",
      "(",
      "a".repeat(63),
      "a".repeat(64),
      "1.2.3.4",
    ],
    ...["\xc5\xbf", "\xc4\xb0", "\xe2\x84\xaa", "\xcc\x81", "tag:x"],
  ],
  check(octets) {
    const text = decodeUtf8Lenient(octets);
    const mailbox = parseMailbox(text);
    if (mailbox.ok) {
      const again = formatMailbox(mailbox.value);
      assert.ok(!CONTROL.test(again) && Buffer.byteLength(again) <= MAX_PATH);
      const reread = parseMailbox(again);
      assert.deepEqual(reread.ok && reread.value, mailbox.value);
    }
    const domain = parseDomain(text);
    if (domain.ok) {
      assert.match(domain.value, /^[^\u0000- @<>[\]()",:;\\]{1,255}$/u);
      const again = parseDomain(domain.value);
      assert.equal(again.ok && again.value, domain.value, "lower case is stable");
    }
    const literal = parseAddressLiteral(text);
    if (literal.ok) {
      assert.match(literal.value, /^\[[!-Z^-~]+\]$/);
      const again = parseAddressLiteral(literal.value);
      assert.equal(again.ok && again.value, literal.value);
    }
  },
};

export const xtext: Target = {
  name: "xtext",
  words: ["a", "+2B", "+3D", "+0D", "+0A", "+00", "+C3+BC", "+FF", "+", "=", "+2b", "~", "!", " ", UTF8],
  check(octets) {
    const parsed = parseXtext(latin1(octets));
    if (parsed.ok) {
      const again = parseXtext(formatXtext(parsed.value));
      assert.equal(again.ok && again.value, parsed.value);
    }
    const text = decodeUtf8(octets);
    if (text === null) return;
    const encoded = formatXtext(text);
    assert.match(encoded, /^[!-~]*$/);
    assert.ok(!encoded.includes("="));
    const decoded = parseXtext(encoded);
    assert.equal(decoded.ok && decoded.value, text);
  },
};

/** Strict: exactly the one way to write some octets is read. */
export const base64: Target = {
  name: "base64",
  words: ["AAAA", "QUJD", "QQ==", "QUI=", "=", "==", "===", "+/+/", "-_", "QR==", "\r\n", " ", "A", "\xff", "*"],
  check(octets) {
    const text = latin1(octets);
    const decoded = decodeBase64(octets);
    const canonical = Buffer.from(text, "base64").toString("base64") === text;
    assert.equal(decoded !== null, canonical);
    if (decoded !== null) assert.equal(encodeBase64(decoded), text);
    assert.deepEqual(decodeBase64(encodeBase64(octets)), new Uint8Array(octets));
  },
};

/** EHLO lines of a hostile server. */
export const extensions: Target = {
  name: "extensions",
  words: [
    ...[
      "mx.test\n",
      "SIZE 1000\n",
      "SIZE\n",
      "SIZE 0\n",
      "SIZE 99999999999999999999\n",
      "AUTH PLAIN LOGIN\n",
      "AUTH=LOGIN\n",
    ],
    ...[
      "PIPELINING\n",
      "8BITMIME\n",
      "STARTTLS\n",
      "LIMITS RCPTMAX=10\n",
      "__proto__ x\n",
      "constructor\n",
      " ",
      "\n",
      "\t",
    ],
  ],
  check(octets) {
    const reply = { code: 250, status: null, lines: decodeUtf8Lenient(octets).split("\n") };
    const found = readExtensions(reply);
    for (const [keyword, parameters] of found) {
      assert.match(keyword, /^[A-Z0-9][A-Z0-9-]*$/);
      for (const parameter of parameters) assert.match(parameter, /^[!-~]+$/);
    }
    const size = announcedSize(found);
    assert.ok(size === null || (size > 0 && !Number.isNaN(size)));
    assert.ok(announcedMechanisms(found).every((name) => name === name.toUpperCase()));
    const again = readExtensions({ ...reply, lines: ["mx.test", ...formatExtensions(found)] });
    assert.deepEqual([...again.keys()], [...found.keys()]);
  },
};

/** Whatever text a policy puts in a reply, the client sees one reply, with that code. */
export const replies: Target = {
  name: "reply",
  words: ["Ok", "\n", "\r\n250 Ok\r\n", "\r", "\0", UTF8, "\xe2\x80\xa8", " ", "a".repeat(505), "word ", "-"],
  check(octets) {
    const lines = decodeUtf8Lenient(octets).split("\n");
    const formatted = formatReply({ code: 550, status: { class: 5, subject: 1, detail: 1 }, lines });
    for (const line of latin1(formatted).split("\r\n").slice(0, -1)) {
      assert.match(line, /^550[- ]5\.1\.1 [^\r\n\0]*$/);
      assert.ok(line.length + 2 <= 512, "RFC 5321 §4.5.3.1.5");
    }
    const decoded = new ReplyDecoder({ lines: 1e6, octets: 1e8 }).push(formatted);
    assert.ok(decoded.ok);
    assert.deepEqual(
      decoded.value.map(({ code }) => code),
      [550],
    );
  },
};

export const language: readonly Target[] = [commands, addresses, xtext, base64, extensions, replies];
