import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, encodeUtf8, unwrap } from "../base/index.ts";
import { Downgrader, MessageSurvey, type Survey } from "./index.ts";

type Cut = (octets: Uint8Array) => readonly Uint8Array[];

const whole: Cut = (octets) => [octets];
const single: Cut = (octets) => Array.from(octets, (_, at) => octets.subarray(at, at + 1));

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function text(octets: Uint8Array): string {
  return Buffer.from(octets).toString("latin1");
}

function survey(octets: Uint8Array, cut: Cut = whole): Survey {
  const found = new MessageSurvey();
  for (const chunk of cut(octets)) found.push(chunk);
  return found.finish();
}

function convert(octets: Uint8Array, cut: Cut = whole): Uint8Array {
  const downgrader = new Downgrader(unwrap(survey(octets, cut).downgrade));
  return concatBytes([...cut(octets).flatMap((chunk) => downgrader.push(chunk)), ...downgrader.end()]);
}

function converted(message: string, cut: Cut = whole): string {
  return text(convert(latin1(message), cut));
}

/** Quoted-printable as RFC 2045 §6.7 describes a decoder. */
function unquoted(encoded: string): string {
  return encoded
    .replace(/[ \t]+(?=\r\n)/g, "")
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function assertSevenBit(message: string): void {
  assert.match(message, /^[\u0001-\u007f]*$/);
  assert.doesNotMatch(message, /\r(?!\n)|(?<!\r)\n/);
  for (const line of message.split("\r\n")) assert.ok(line.length <= 998);
}

test("a plain 8-bit text becomes quoted-printable", () => {
  const head = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ";
  const message = `${head}8bit\r\nSubject: x\r\n\r\nGr\xc3\xbc\xc3\x9fe = \r\nend \t\r\n`;
  const expected = `${head}quoted-printable\r\nSubject: x\r\n\r\nGr=C3=BC=C3=9Fe =3D=20\r\nend =09\r\n`;
  for (const cut of [whole, single]) assert.equal(converted(message, cut), expected);
});

test("without MIME fields it gets them; the charset is owned to be unknown (RFC 1428)", () => {
  assert.equal(
    converted("Subject: x\r\n\r\n\xe4\r\n"),
    "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n" +
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n",
  );
});

const NESTED = `MIME-Version: 1.0\r
Content-Type: multipart/mixed; (a comment)\r
 boundary="out er"\r
Content-Transfer-Encoding: 8bit\r
\r
preamble\r
--out er\r
Content-Type: multipart/alternative; boundary=inner\r
\r
--inner\r
\r
ascii stays\r
--inner  \r
Content-Type: text/html; charset=utf-8\r
Content-Transfer-Encoding: 8BIT\r
\r
\xc3\xa4\r
--inner--\r
\r
--out er\r
Content-Type: image/png\r
Content-Transfer-Encoding: binary\r
\r
\x89PNG\r
\xff\r
--out er\r
Content-Type: message/rfc822\r
Content-Transfer-Encoding: 8bit\r
\r
Subject: within\r
Content-Type: text/plain\r
\r
\xe9\r
--out er--\r
epilogue\r
`;

test("structure stays, leaves are converted, also in a message within", () => {
  const expected = `MIME-Version: 1.0\r
Content-Type: multipart/mixed; (a comment)\r
 boundary="out er"\r
Content-Transfer-Encoding: 7bit\r
\r
preamble\r
--out er\r
Content-Type: multipart/alternative; boundary=inner\r
\r
--inner\r
\r
ascii stays\r
--inner  \r
Content-Type: text/html; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
=C3=A4\r
--inner--\r
\r
--out er\r
Content-Type: image/png\r
Content-Transfer-Encoding: base64\r
\r
${Buffer.from("\x89PNG\r\n\xff", "latin1").toString("base64")}\r
--out er\r
Content-Type: message/rfc822\r
Content-Transfer-Encoding: 7bit\r
\r
Subject: within\r
Content-Type: text/plain\r
MIME-Version: 1.0\r
Content-Transfer-Encoding: quoted-printable\r
\r
=E9\r
--out er--\r
epilogue\r
`;
  assert.equal(converted(NESTED), expected);
  assert.equal(converted(NESTED, single), expected);
  for (let at = 1; at < NESTED.length; at++) {
    assert.equal(
      converted(NESTED, (octets) => [octets.subarray(0, at), octets.subarray(at)]),
      expected,
    );
  }
});

test("what is 7-bit stays as it is, octet for octet", () => {
  const plain = NESTED.replace(/[\x80-\xff]/g, "x").replace(/^Content-Transfer-Encoding.*\r\n/gm, "");
  const { content, downgrade, eightBitHeader } = survey(latin1(plain));
  assert.deepEqual([content, downgrade.ok, eightBitHeader], ["7bit", true, false]);
  assert.equal(converted(plain), plain);
});

const refusals: readonly (readonly [string, string])[] = [
  ["an 8-bit header field", "Subject: \xe4\r\n\r\nx\r\n"],
  [
    "an 8-bit header field of a part",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: \xe4\r\n\r\nx\r\n--b--\r\n",
  ],
  ["a signed part", "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xe4\r\n--b\r\n\r\nx\r\n--b--\r\n"],
  ["an 8-bit preamble", "Content-Type: multipart/mixed; boundary=b\r\n\r\n\xe4\r\n--b\r\n\r\nx\r\n--b--\r\n"],
  ["base64 that is none", "Content-Transfer-Encoding: base64\r\n\r\n\xe4\r\n"],
  ["an encoding nobody knows", "Content-Transfer-Encoding: x-mine\r\n\r\n\xe4\r\n"],
  ["message/partial", "Content-Type: message/partial\r\n\r\n\xe4\r\n"],
  ["a multipart without a boundary", "Content-Type: multipart/mixed\r\n\r\n\xe4\r\n"],
  ["two types", "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n\xe4\r\n"],
  ["a header that is none", "Hello\r\n\r\n\xe4\r\n"],
  ["a type that is none", "Content-Type: nothing\r\n\r\n\xe4\r\n"],
];

for (const [title, message] of refusals) {
  test(`not converted: ${title}`, () => {
    for (const cut of [whole, single]) {
      const { content, downgrade } = survey(latin1(message), cut);
      assert.equal(content, "8bit");
      assert.equal(downgrade.ok, false);
    }
  });
}

test("signed and clean is left alone, though it says 8bit", () => {
  const message =
    "Content-Type: multipart/signed; boundary=b\r\nSubject: x\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--b--\r\n";
  assert.equal(converted(message), message);
});

test("eight bits in a header section at any level are found, and in a message/global", () => {
  const global = "Content-Type: message/global\r\n\r\nSubject: \xc3\xa4\r\n\r\nx\r\n";
  const within = "Content-Type: message/rfc822\r\n\r\nSubject: \xc3\xa4\r\n\r\nx\r\n";
  for (const message of [global, within, "Subject: \xc3\xa4\r\n\r\n"]) {
    assert.equal(survey(latin1(message)).eightBitHeader, true);
  }
  assert.equal(survey(latin1("Subject: x\r\n\r\n\xc3\xa4")).eightBitHeader, false);
  assert.match(converted(global), /base64/);
});

test("binary: NUL, bare newlines and long lines are not 8-bit text", () => {
  for (const body of ["a\0b\r\n", "a\nb\r\n", "a\rb\r\n", "x\r", `${"x".repeat(999)}\r\n`]) {
    assert.equal(survey(latin1(`Subject: x\r\n\r\n${body}`)).content, "binary", JSON.stringify(body));
    const message = converted(`Subject: x\r\n\r\n${body}`);
    assertSevenBit(message);
    assert.equal(unquoted(message.slice(message.indexOf("\r\n\r\n") + 4)), body);
  }
});

test("a line as long as may come in pieces is no boundary, however it is cut", () => {
  for (let length = 994; length <= 1003; length++) {
    const line = `--b${" ".repeat(length - 5)}\r\n`;
    const message = latin1(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${line}\r\n\xe9\r\n--b--\r\n`);
    const found = survey(message);
    assert.deepEqual(survey(message, single), found);
    assert.equal(found.downgrade.ok, length < 999);
  }
});

test("parts without end are cut off, not followed", () => {
  const many = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${"--b\r\n\r\n".repeat(10_001)}`;
  let deep = "";
  for (let level = 0; level < 60; level++)
    deep += `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}\r\n`;
  for (const message of [many, deep, "Content-Type: message/rfc822\r\n\r\n".repeat(60), `X: ${"x".repeat(300_000)}`]) {
    assert.equal(survey(latin1(message)).downgrade.ok, false);
  }
});

interface Part {
  readonly kind: "text" | "image";
  readonly octets: Uint8Array;
}

const BOUNDARY = "=_the boundary";
const partArbitrary = fc.record({
  kind: fc.constantFrom("text" as const, "image" as const),
  octets: fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc
      .array(fc.constantFrom(0x0d, 0x0a, 0x20, 0x09, 0x2d, 0x3d, 0x2e, 0x41, 0xe4), { maxLength: 300 })
      .map((octets) => Uint8Array.from(octets)),
  ),
});

function build(parts: readonly Part[]): Uint8Array {
  const pieces = [encodeUtf8(`MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="${BOUNDARY}"\r\n\r\n`)];
  for (const { kind, octets } of parts) {
    const type = kind === "text" ? "text/plain; charset=utf-8" : "image/png";
    pieces.push(encodeUtf8(`--${BOUNDARY}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: binary\r\n\r\n`));
    pieces.push(octets, encodeUtf8("\r\n"));
  }
  pieces.push(encodeUtf8(`--${BOUNDARY}--\r\n`));
  return concatBytes(pieces);
}

test("property: decoded, each part is what it was; the message is 7-bit, however it is cut", () => {
  const property = fc.property(
    fc.array(partArbitrary, { maxLength: 4 }),
    fc.integer({ min: 1, max: 50 }),
    (parts, size) => {
      const message = build(parts);
      const cut: Cut = (octets) =>
        Array.from({ length: Math.ceil(octets.length / size) }, (_, at) => octets.subarray(at * size, (at + 1) * size));
      const result = text(convert(message, cut));
      assert.equal(text(convert(message)), result);
      assertSevenBit(result);

      const sections = result.split(new RegExp(`(?:^|\r\n)--${BOUNDARY}(?:--)?\r\n`)).slice(1, -1);
      assert.equal(sections.length, parts.length);
      for (const [at, section] of sections.entries()) {
        const split = section.indexOf("\r\n\r\n");
        const encoding = /Content-Transfer-Encoding: (.*)/.exec(section.slice(0, split))?.[1]?.trim();
        const body = section.slice(split + 4);
        for (const line of body.split("\r\n")) assert.ok(encoding === "7bit" || line.length <= 76);
        const decoded =
          encoding === "base64"
            ? Buffer.from(body, "base64").toString("latin1")
            : encoding === "7bit"
              ? body
              : unquoted(body);
        assert.equal(decoded, text(parts[at]?.octets ?? new Uint8Array(0)));
      }
    },
  );
  fc.assert(property, { numRuns: 300 });
});

const python = (() => {
  try {
    execFileSync("python3", ["-c", "import email"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

const READ_PARTS = `
import sys, json, base64, email
message = email.message_from_bytes(sys.stdin.buffer.read())
print(json.dumps([base64.b64encode(part.get_payload(decode=True)).decode() for part in message.walk() if not part.is_multipart()]))
`;

test("another program reads the same content in the converted message", { skip: !python && "no python3 here" }, () => {
  // Content with whole lines only: Python joins lines its own way.
  const parts: readonly Part[] = [
    { kind: "text", octets: encodeUtf8(`Grüße, ${"ß".repeat(200)} \r\n--not the boundary\r\n=\t\r\n.`) },
    { kind: "image", octets: Uint8Array.from({ length: 1000 }, (_, at) => (at * 31) & 0xff) },
    { kind: "text", octets: encodeUtf8("plain") },
  ];
  const output = execFileSync("python3", ["-c", READ_PARTS], { input: convert(build(parts)) });
  const read: readonly string[] = JSON.parse(output.toString());
  assert.deepEqual(
    read.map((encoded) => Buffer.from(encoded, "base64").toString("latin1")),
    parts.map(({ octets }) => text(octets)),
  );
});
