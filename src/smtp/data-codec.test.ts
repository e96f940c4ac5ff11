import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../base/index.ts";
import { DataDecoder, DataEncoder, type DataOptions, type DataProblem } from "./index.ts";

/** One character an octet, so that texts can be compared and read. */
const octets = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));
const text = (parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString("latin1");

const refuse: DataOptions = { bareNewlines: "refuse", maxLine: 1000 };
const repair: DataOptions = { bareNewlines: "repair", maxLine: 1000 };

interface Decoded {
  readonly body: string;
  /** What came behind the end mark, null where the end was not reached. */
  readonly rest: string | null;
  readonly problem: DataProblem | null;
}

function run(pieces: readonly Uint8Array[], options: DataOptions): Decoded {
  const decoder = new DataDecoder(options);
  const body: Uint8Array[] = [];
  for (const [index, piece] of pieces.entries()) {
    const { body: parts, rest } = decoder.push(piece);
    body.push(...parts);
    const given = body.reduce((sum, part) => sum + part.length, 0);
    assert.equal(decoder.size, given);
    if (rest !== null) {
      return { body: text(body), rest: text([rest, ...pieces.slice(index + 1)]), problem: decoder.problem };
    }
  }
  return { body: text(body), rest: null, problem: decoder.problem };
}

/** A body of which part was given before a problem was seen depends on the cut; nothing else may. */
const comparable = (decoded: Decoded) => (decoded.problem === null ? decoded : { ...decoded, body: "" });

/** Decodes `wire`, having seen that no cut and no octets behind change what comes out. */
function decode(wire: string, options: DataOptions = refuse): Decoded {
  const whole = run([octets(wire)], options);
  const singly = [...octets(wire)].map((octet) => Uint8Array.of(octet));
  assert.deepEqual(comparable(run(singly, options)), comparable(whole), "octet by octet");
  for (let cut = 0; cut <= wire.length; cut++) {
    const halves = [octets(wire.slice(0, cut)), octets(wire.slice(cut))];
    assert.deepEqual(comparable(run(halves, options)), comparable(whole), `cut at ${cut}`);
  }
  if (whole.rest !== null) {
    const more = run([octets(`${wire}\r\n.\r\nMORE`)], options);
    assert.deepEqual(more, { ...whole, rest: `${whole.rest}\r\n.\r\nMORE` }, "octets following");
  }
  return whole;
}

const body = (expected: string, rest: string | null = "") => ({ body: expected, rest, problem: null });

test("bodies, empty and not, dots removed from the start of lines", () => {
  assert.deepEqual(decode(".\r\n"), body(""));
  assert.deepEqual(decode("a\r\n.\r\n"), body("a\r\n"));
  assert.deepEqual(decode("..\r\n.\r\n"), body(".\r\n"));
  assert.deepEqual(decode("...\r\n..a.\r\n.b\r\n.\r\n"), body("..\r\n.a.\r\nb\r\n"));
  assert.deepEqual(decode("\r\n\r\n.\r\n"), body("\r\n\r\n"));
  assert.deepEqual(decode("a.\r\n.\r\nQUIT\r\n"), body("a.\r\n", "QUIT\r\n"));
  assert.deepEqual(decode("a\r\n.\r\n.\r\n"), body("a\r\n", ".\r\n"));
  assert.deepEqual(decode("\xff\xe9\r\n.\r\n"), body("\xff\xe9\r\n"));
});

test("no end without the mark; only what may be its start is held back", () => {
  assert.deepEqual(decode("a"), body("a", null));
  assert.deepEqual(decode("a\r\n"), body("a\r\n", null));
  assert.deepEqual(decode("a\r\n."), body("a\r\n", null));
  assert.deepEqual(decode("a\r\n.\r"), body("a\r\n", null));
});

test("bare newlines: refused, and the end still found", () => {
  for (const wire of ["a\nb", "a\rb", "\n", "\rx", ".\nx", ".\rx", "a\r\n.\nx", "a\r\r\nb", "a\n\r\n"]) {
    const { rest, problem } = decode(`${wire}\r\n.\r\nNEXT`);
    assert.deepEqual({ rest, problem }, { rest: "NEXT", problem: "bareNewline" }, JSON.stringify(wire));
  }
});

test("bare newlines: repaired, and a dot behind one is text", () => {
  for (const [wire, expected] of [
    ["a\nb\r\n", "a\r\nb\r\n"],
    ["a\rb\r\n", "a\r\nb\r\n"],
    ["\n\n\r\n", "\r\n\r\n\r\n"],
    ["a\r\r\n", "a\r\n\r\n"],
    ["\r\rb\r\n", "\r\n\r\nb\r\n"],
    ["a\n.\nb\r\n", "a\r\n.\r\nb\r\n"],
    ["a\n..b\r\n", "a\r\n..b\r\n"],
    ["a\n.\r\nb\r\n", "a\r\n.\r\nb\r\n"],
    [".\nb\r\n", "\r\nb\r\n"],
    [".\rb\r\n", "\r\nb\r\n"],
    [".\r\r\nb\r\n", "\r\n\r\nb\r\n"],
    [".\r.\r\n", "\r\n.\r\n"],
  ] as const) {
    assert.deepEqual(decode(`${wire}.\r\n`, repair), body(expected), JSON.stringify(wire));
  }
});

test("NUL is refused unless it is said to be accepted", () => {
  assert.equal(decode("a\0b\r\n.\r\n").problem, "nul");
  assert.equal(decode("\0\r\n.\r\n", repair).problem, "nul");
  assert.deepEqual(decode("a\0b\r\n.\r\n", { ...refuse, nul: "accept" }), body("a\0b\r\n"));
});

test("the longest line counts its CRLF and not a stuffed dot", () => {
  const short: DataOptions = { bareNewlines: "refuse", maxLine: 10 };
  assert.deepEqual(decode("12345678\r\n.\r\n", short), body("12345678\r\n"));
  assert.deepEqual(decode("..2345678\r\n.\r\n", short), body(".2345678\r\n"));
  for (const wire of [
    "123456789\r\n",
    "1234567890\r\n",
    "a\r\n123456789\r\n",
    "..23456789\r\n",
    `${"x".repeat(99)}\r\n`,
  ]) {
    const { rest, problem } = decode(`${wire}.\r\nNEXT`, short);
    assert.deepEqual({ rest, problem }, { rest: "NEXT", problem: "lineTooLong" }, wire);
  }
  assert.equal(decode("x".repeat(11), short).problem, "lineTooLong");
});

test("a line that is repaired counts the CRLF it gets", () => {
  const short: DataOptions = { bareNewlines: "repair", maxLine: 10 };
  for (const newline of ["\n", "\r"]) {
    assert.deepEqual(decode(`12345678${newline}b\r\n.\r\n`, short), body("12345678\r\nb\r\n"));
    assert.equal(decode(`123456789${newline}b\r\n.\r\n`, short).problem, "lineTooLong");
  }
});

test("the first problem is the one told, at each cut", () => {
  const short: DataOptions = { bareNewlines: "refuse", maxLine: 10 };
  for (let before = 7; before <= 12; before++) {
    for (const special of ["\0", "\n", "\rx", "\0\n", "\n\0"]) {
      const first = before < 10 ? (special.startsWith("\0") ? "nul" : "bareNewline") : "lineTooLong";
      assert.equal(decode(`${"x".repeat(before)}${special}\r\n.\r\n`, short).problem, first);
    }
  }
});

test("after a problem nothing more is given out", () => {
  const decoder = new DataDecoder(refuse);
  assert.equal(text(decoder.push(octets("ab\r\n")).body), "ab\r\n");
  assert.deepEqual(decoder.push(octets("c\nd")).body, []);
  assert.deepEqual(decoder.push(octets("more\r\n")).body, []);
  assert.equal(decoder.size, 4);
  assert.equal(decoder.push(octets(".\r\n")).rest?.length, 0);
});

test("pushing behind the end is a bug", () => {
  const decoder = new DataDecoder(refuse);
  decoder.push(octets(".\r\n"));
  assert.throws(() => decoder.push(octets("x")));
});

test("an ordinary body is given out without a copy", () => {
  const wire = octets("Subject: x\r\n\r\nbody\r\n");
  const { body: parts } = new DataDecoder(refuse).push(wire);
  assert.equal(parts.length, 1);
  assert.equal(parts[0], wire);
  const encoded = new DataEncoder().push(wire);
  assert.equal(encoded.length, 1);
  assert.equal(encoded[0], wire);
});

test("a body of nothing but dots and newlines makes few pieces", () => {
  const stuffed = octets("..\r\n".repeat(1000));
  const { body: parts } = new DataDecoder(refuse).push(stuffed);
  assert.ok(parts.length < 20);
  assert.equal(text(parts), ".\r\n".repeat(1000));
  const newlines = octets("\n".repeat(1000));
  const repaired = new DataDecoder(repair).push(newlines).body;
  assert.ok(repaired.length < 20);
  assert.equal(text(repaired), "\r\n".repeat(1000));
  const encoded = new DataEncoder().push(octets(".\n\r".repeat(1000)));
  assert.ok(encoded.length < 20);
  assert.equal(text(encoded), `${"..\r\n\r\n".repeat(999)}..\r\n\r`);
});

/** All texts of `length` letters of an alphabet. */
function* mixtures(alphabet: readonly string[], length: number): Generator<string> {
  if (length === 0) yield "";
  else for (const first of alphabet) for (const more of mixtures(alphabet, length - 1)) yield first + more;
}

test("smuggling: of all mixtures of CR, LF, NUL, dot and a letter only CR LF dot CR LF ends data", () => {
  for (let length = 0; length <= 6; length++) {
    for (const mixture of mixtures(["\r", "\n", "\0", ".", "a"], length)) {
      // The CRLF of the DATA command stands before the first octet.
      const end = `\r\n${mixture}`.indexOf("\r\n.\r\n");
      const rest = end === -1 ? null : mixture.slice(end + "\r\n.\r\n".length - "\r\n".length);
      for (const options of [refuse, repair]) {
        const whole = run([octets(mixture)], options);
        assert.equal(whole.rest, rest, JSON.stringify(mixture));
        const cut = Math.floor(length / 2);
        const halves = run([octets(mixture.slice(0, cut)), octets(mixture.slice(cut))], options);
        assert.deepEqual(comparable(halves), comparable(whole), JSON.stringify(mixture));
      }
    }
  }
});

test("smuggling: the known forms, with vertical tab, form feed, NEL and U+2028 about the dot, end nothing", () => {
  const newlines = ["\n", "\r", "\n\r", "\r\r\n\0", "\x0b", "\x0c", "\x85", "\xe2\x80\xa8", "\r\0\n", "\0\r\n\0"];
  for (const before of ["\r\n", ...newlines]) {
    for (const behind of ["\r\n", ...newlines]) {
      if (before === "\r\n" && behind === "\r\n") continue;
      const wire = `a${before}.${behind}MAIL FROM:<x@y>\r\n.\r\nQUIT\r\n`;
      for (const options of [refuse, repair])
        assert.equal(decode(wire, options).rest, "QUIT\r\n", JSON.stringify(wire));
    }
  }
});

const soup = fc
  .array(fc.constantFrom("\r", "\n", "\r\n", ".", "..", "a", "line", "\0", "\xff"), { maxLength: 40 })
  .map((parts) => parts.join(""));

/** `whole` in pieces. */
const cutAt = (whole: string, cuts: readonly number[]): Uint8Array[] => {
  const places = [...new Set([0, whole.length, ...cuts.map((cut) => cut % (whole.length + 1))])].sort((a, b) => a - b);
  return places.slice(1).map((to, index) => octets(whole.slice(places[index], to)));
};
const cuts = fc.array(fc.nat(), { maxLength: 4 });

function encode(pieces: readonly Uint8Array[]): string {
  const encoder = new DataEncoder();
  return text([...pieces.flatMap((piece) => [...encoder.push(piece)]), encoder.end()]);
}

test("what is encoded decodes to itself, newlines made CRLF, at any cuts", () => {
  fc.assert(
    fc.property(soup, cuts, cuts, (content, cutsThere, cutsHere) => {
      const wire = encode(cutAt(content, cutsThere));
      const lines = content.replace(/\r\n|\r|\n/g, "\r\n");
      const expected = lines === "" || lines.endsWith("\r\n") ? lines : `${lines}\r\n`;
      const decoded = run(cutAt(`${wire}NEXT`, cutsHere), { ...refuse, nul: "accept" });
      assert.deepEqual(decoded, { body: expected, rest: "NEXT", problem: null });
    }),
  );
});

test("whatever is encoded ends once, at its end, and holds no bare newline", () => {
  fc.assert(
    fc.property(soup, cuts, (content, places) => {
      const wire = encode(cutAt(content, places));
      assert.equal(`\r\n${wire}`.indexOf("\r\n.\r\n"), wire.length - ".\r\n".length);
      assert.doesNotMatch(wire, /\r(?!\n)|(?<!\r)\n/);
    }),
  );
});

test("a repaired body is what the encoder would have made of it, where no line begins with a dot", () => {
  fc.assert(
    fc.property(
      soup.map((content) => content.replaceAll(".", "b")),
      cuts,
      (content, places) => {
        const decoded = run(cutAt(`${content}\r\n.\r\n`, places), { ...repair, nul: "accept" });
        assert.equal(`${decoded.body}.\r\n`, encode([octets(`${content}\r\n`)]));
      },
    ),
  );
});

test("the encoder puts the end behind a CRLF", () => {
  assert.equal(encode([]), ".\r\n");
  assert.equal(encode([encodeUtf8("a")]), "a\r\n.\r\n");
  assert.equal(encode([encodeUtf8("a\r")]), "a\r\n.\r\n");
  assert.equal(encode([encodeUtf8("a\r\n")]), "a\r\n.\r\n");
  assert.equal(encode([encodeUtf8("a\r"), encodeUtf8("\n.")]), "a\r\n..\r\n.\r\n");
  assert.equal(encode([encodeUtf8("a\r"), encodeUtf8(".b")]), "a\r\n..b\r\n.\r\n");
});
