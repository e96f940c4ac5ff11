import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { concatBytes, encodeUtf8, type Result } from "../base/index.ts";
import { type ProxyHeader, ProxyHeaderDecoder, type ProxyHeaderProblem } from "./proxy-header.ts";

const FOLLOWING = encodeUtf8("EHLO client.test\r\n");
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const LOCAL: ProxyHeader = { kind: "local" };

type Decoded = Result<{ readonly header: ProxyHeader; readonly rest: string } | null, ProxyHeaderProblem>;

/** Pushes piece after piece until a header or a problem comes; pieces that are left are of the rest. */
function run(pieces: readonly Uint8Array[]): Decoded {
  const decoder = new ProxyHeaderDecoder();
  for (const [index, piece] of pieces.entries()) {
    const pushed = decoder.push(piece);
    if (!pushed.ok) return pushed;
    if (pushed.value === null) continue;
    const rest = concatBytes([pushed.value.rest, ...pieces.slice(index + 1)]);
    return { ok: true, value: { header: pushed.value.header, rest: Buffer.from(rest).toString("latin1") } };
  }
  return { ok: true, value: null };
}

/** What comes of `wire`, having seen that no cut and no octets behind a header change it. */
function decode(wire: Uint8Array): ProxyHeader | ProxyHeaderProblem | null {
  const whole = run([wire]);
  assert.deepEqual(run([...wire].map((octet) => Uint8Array.of(octet))), whole, "byte by byte");
  for (let at = 0; at <= wire.length; at++) {
    assert.deepEqual(run([wire.subarray(0, at), wire.subarray(at)]), whole, `cut at ${at}`);
  }
  assert.deepEqual(run([Buffer.from(wire)]), whole, "as a socket gives it");
  if (!whole.ok) return whole.error;
  if (whole.value === null) return null;
  assert.equal(whole.value.rest, "", "nothing stands behind the header");
  const followed = run([concatBytes([wire, FOLLOWING])]);
  assert.deepEqual(followed, {
    ok: true,
    value: { header: whole.value.header, rest: Buffer.from(FOLLOWING).toString() },
  });
  return whole.value.header;
}

const line = (text: string) => decode(new Uint8Array(Buffer.from(text, "latin1")));

function proxied(client: string, port: number, destination: string, destinationPort: number): ProxyHeader {
  return {
    kind: "proxied",
    client: { address: client, port },
    destination: { address: destination, port: destinationPort },
  };
}

describe("version 1, §2.1", () => {
  const good: readonly (readonly [string, ProxyHeader])[] = [
    ["PROXY TCP4 192.0.2.1 192.0.2.25 56324 25", proxied("192.0.2.1", 56_324, "192.0.2.25", 25)],
    [
      "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
      proxied("255.255.255.255", 65_535, "255.255.255.255", 65_535),
    ],
    ["PROXY TCP4 0.0.0.0 0.0.0.0 0 0", proxied("0.0.0.0", 0, "0.0.0.0", 0)],
    ["PROXY TCP6 2001:DB8::1 2001:db8:0:0:0:0:0:25 4000 25", proxied("2001:db8::1", 4000, "2001:db8::25", 25)],
    ["PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:219 4000 25", proxied("192.0.2.1", 4000, "192.0.2.25", 25)],
    [
      `PROXY TCP6 ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}fffe 65535 65535`,
      proxied(`${"ffff:".repeat(7)}ffff`, 65_535, `${"ffff:".repeat(7)}fffe`, 65_535),
    ],
    ["PROXY UNKNOWN", LOCAL],
    ["PROXY UNKNOWN ", LOCAL],
    [`PROXY UNKNOWN ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535`, LOCAL],
    ["PROXY UNKNOWN what\0\xffever", LOCAL],
  ];
  for (const [text, header] of good) test(JSON.stringify(text), () => assert.deepEqual(line(`${text}\r\n`), header));

  const malformed = [
    "PROXY TCP4 192.0.2.1 192.0.2.25 56324",
    "PROXY TCP4 192.0.2.1 192.0.2.25 56324 25 ",
    "PROXY TCP4 192.0.2.1 192.0.2.25 56324 25 26",
    "PROXY  TCP4 192.0.2.1 192.0.2.25 56324 25",
    "PROXY TCP4  192.0.2.1 192.0.2.25 56324 25",
    "PROXY tcp4 192.0.2.1 192.0.2.25 56324 25",
    "PROXY TCP5 192.0.2.1 192.0.2.25 56324 25",
    "PROXY UDP4 192.0.2.1 192.0.2.25 56324 25",
    "PROXY UNKNOWNS",
    "PROXY ",
    "PROXY TCP4",
    "PROXY TCP4 2001:db8::1 2001:db8::25 56324 25",
    "PROXY TCP6 192.0.2.1 192.0.2.25 56324 25",
    "PROXY TCP4 192.0.2.1 2001:db8::25 56324 25",
    "PROXY TCP4 192.0.2.01 192.0.2.25 56324 25",
    "PROXY TCP4 192.0.2.256 192.0.2.25 56324 25",
    "PROXY TCP4 192.0.2 192.0.2.25 56324 25",
    "PROXY TCP4 0xC0000201 192.0.2.25 56324 25",
    "PROXY TCP6 fe80::1%eth0 fe80::2 56324 25",
    "PROXY TCP6 2001:db8:::1 2001:db8::25 56324 25",
    "PROXY TCP4 192.0.2.1 192.0.2.25 65536 25",
    "PROXY TCP4 192.0.2.1 192.0.2.25 056 25",
    "PROXY TCP4 192.0.2.1 192.0.2.25 -1 25",
    "PROXY TCP4 192.0.2.1 192.0.2.25 1e3 25",
    "PROXY TCP4 192.0.2.1\t192.0.2.25 56324 25",
    "PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\0",
    "PROXY TCP4 192.0.2.\xb9 192.0.2.25 56324 25",
  ];
  for (const text of malformed) test(JSON.stringify(text), () => assert.equal(line(`${text}\r\n`), "syntax"));

  test("a CR or LF alone does not end the line, in UNKNOWN either", () => {
    const whole = "PROXY TCP4 192.0.2.1 192.0.2.25 56324 25";
    for (const text of [
      `${whole}\n`,
      `${whole}\r${whole}`,
      `${whole}\n\r\n`,
      "PROXY UNKNOWN a\nb\r\n",
      "PROXY UNKNOWN\r\r\n",
    ]) {
      assert.equal(line(text), "syntax", JSON.stringify(text));
    }
  });

  test("107 octets with the CRLF, and no more", () => {
    const padded = (octets: number) => `PROXY UNKNOWN ${"x".repeat(octets - 16)}\r\n`;
    assert.equal(padded(107).length, 107);
    assert.deepEqual(line(padded(107)), LOCAL);
    assert.equal(line(padded(108)), "tooLong");
    assert.equal(line(padded(200)), "tooLong");
  });

  test("every beginning of a header waits for more", () => {
    const whole = "PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\r\n";
    for (let length = 0; length < whole.length; length++) assert.equal(line(whole.slice(0, length)), null);
  });
});

test("what is no header is known at its first wrong octet", () => {
  for (const text of [
    "EHLO client.test\r\n",
    "Q",
    "PROXZ",
    "PROXYTCP4",
    "proxy TCP4",
    "\r\n\r\n\r",
    "\r\r",
    "\0",
    "\x16\x03\x01",
  ]) {
    assert.equal(line(text), "noHeader", JSON.stringify(text));
  }
});

interface Binary {
  readonly start?: number;
  readonly family?: number;
  readonly length?: number;
  readonly behind?: readonly number[];
}

function binary({ start = 0x21, family = 0x11, behind = IPV4, length = behind.length }: Binary = {}): Uint8Array {
  return Uint8Array.from([...SIGNATURE, start, family, length >> 8, length & 0xff, ...behind]);
}

const IPV4 = [192, 0, 2, 1, 192, 0, 2, 25, 0xdc, 0x04, 0, 25];
const IPV6 = [
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0x0f, 0xa0, 0, 25],
];
const MAPPED = [...Array<number>(10).fill(0), 0xff, 0xff, 192, 0, 2, 1];
const NOOP = [0x04, 0, 2, 0, 0];

/** As haproxy 2.6 wrote it (`send-proxy-v2 proxy-v2-options crc32c,unique-id`), but for the checksum given here. */
function fromHaproxy(checksum: readonly number[]): Uint8Array {
  const addresses = [127, 0, 0, 1, 127, 0, 0, 1, 0xce, 0x50, 0xaf, 0xc9];
  return binary({ behind: [...addresses, 0x03, 0, 4, ...checksum, 0x05, 0, 0] });
}

describe("version 2, §2.2", () => {
  const good: readonly (readonly [string, Uint8Array, ProxyHeader])[] = [
    ["TCP over IPv4", binary(), proxied("192.0.2.1", 56_324, "192.0.2.25", 25)],
    ["TCP over IPv6", binary({ family: 0x21, behind: IPV6 }), proxied("2001:db8::1", 4000, "2001:db8::25", 25)],
    [
      "a mapped IPv4 address",
      binary({ family: 0x21, behind: [...MAPPED, ...MAPPED, 0, 1, 0, 25] }),
      proxied("192.0.2.1", 1, "192.0.2.1", 25),
    ],
    [
      "with extensions",
      binary({ behind: [...IPV4, ...NOOP, 0xe0, 0, 0, ...NOOP] }),
      proxied("192.0.2.1", 56_324, "192.0.2.25", 25),
    ],
    ["a checksum", fromHaproxy([0x27, 0xe9, 0xa7, 0x89]), proxied("127.0.0.1", 52_816, "127.0.0.1", 45_001)],
    ["LOCAL", binary({ start: 0x20, family: 0, behind: [] }), LOCAL],
    ["LOCAL with addresses", binary({ start: 0x20 }), LOCAL],
    ["LOCAL with what has no form", binary({ start: 0x20, family: 0xff, behind: [1, 2, 3] }), LOCAL],
    ["no family", binary({ family: 0, behind: [] }), LOCAL],
    ["no family, and octets to skip", binary({ family: 0, behind: [9, 9, 9] }), LOCAL],
    ["no transport", binary({ family: 0x10 }), LOCAL],
    ["datagrams", binary({ family: 0x12 }), LOCAL],
    ["a UNIX socket", binary({ family: 0x31, behind: Array<number>(216).fill(0x41) }), LOCAL],
  ];
  for (const [title, wire, header] of good) test(title, () => assert.deepEqual(decode(wire), header));

  const bad: readonly (readonly [string, Uint8Array, ProxyHeaderProblem])[] = [
    ["version 1 in binary", binary({ start: 0x11 }), "syntax"],
    ["version 3", binary({ start: 0x31 }), "syntax"],
    ["an unassigned command", binary({ start: 0x22 }), "syntax"],
    ["an unassigned family", binary({ family: 0x41 }), "syntax"],
    ["an unassigned transport", binary({ family: 0x13 }), "syntax"],
    ["too short for its addresses", binary({ behind: IPV4.slice(1) }), "syntax"],
    ["IPv6 with the length of IPv4", binary({ family: 0x21 }), "syntax"],
    ["a UNIX socket too short", binary({ family: 0x31, behind: Array<number>(215).fill(0) }), "syntax"],
    ["an extension cut short", binary({ behind: [...IPV4, 0x04, 0] }), "syntax"],
    ["an extension beyond the end", binary({ behind: [...IPV4, 0x04, 0, 3, 0, 0] }), "syntax"],
    ["a checksum of three octets", binary({ behind: [...IPV4, 0x03, 0, 3, 0, 0, 0] }), "syntax"],
    ["a wrong checksum", fromHaproxy([0x27, 0xe9, 0xa7, 0x88]), "checksum"],
  ];
  for (const [title, wire, problem] of bad) test(title, () => assert.equal(decode(wire), problem));

  test("4,096 octets behind the fixed part are taken; more are refused before they come", () => {
    const full = (octets: number) => [
      ...IPV4,
      0x04,
      (octets - 15) >> 8,
      (octets - 15) & 0xff,
      ...Array<number>(octets - 15).fill(7),
    ];
    const whole = run([binary({ behind: full(4096) })]);
    assert.ok(whole.ok && whole.value?.header.kind === "proxied");
    assert.deepEqual(run([binary({ behind: [], length: 4097 })]), { ok: false, error: "tooLong" });
    assert.deepEqual(run([binary({ start: 0x20, behind: [], length: 65_535 })]), { ok: false, error: "tooLong" });
  });

  test("every beginning of a header waits for more", () => {
    const whole = binary({ behind: [...IPV4, ...NOOP] });
    for (let length = 0; length < whole.length; length++) assert.equal(decode(whole.subarray(0, length)), null);
  });
});

test("octets of any kind: a header, a wait or a declared problem, the same at every cut, and never a long wait", () => {
  const start = fc.constantFrom(
    encodeUtf8("PROXY "),
    encodeUtf8("PROXY TCP4 "),
    binary(),
    Uint8Array.from(SIGNATURE),
    new Uint8Array(0),
  );
  const tail = fc.oneof(
    fc.uint8Array({ maxLength: 130 }),
    fc
      .string({ unit: fc.constantFrom("1", ".", ":", " ", "f", "\r", "\n", "TCP4", "UNKNOWN"), maxLength: 60 })
      .map(encodeUtf8),
  );
  fc.assert(
    fc.property(start, fc.nat(30), tail, (first, kept, second) => {
      const wire = concatBytes([first.subarray(0, Math.max(kept, 6)), second]);
      const whole = run([wire]);
      for (let at = 1; at < wire.length; at += 7)
        assert.deepEqual(run([wire.subarray(0, at), wire.subarray(at)]), whole);
      if (whole.ok && whole.value === null && wire[0] === 0x50) assert.ok(wire.length < 107);
    }),
    { numRuns: 500 },
  );
});
