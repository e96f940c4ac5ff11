import fc from "fast-check";
import { concatBytes } from "../../src/base/index.ts";
import { octetsOf, type Target } from "./target.ts";

/** What has broken parsers of mail before, to be put in anywhere. */
const troubles: readonly Uint8Array[] = [
  ...["\r", "\n", "\r\n", "\0", ".", "\r\r\n", "\n\r", "\r\n.\r\n", "\n.\n", "\r.\r", "\r\n.\n", "\n.\r\n", "\r\n.\r"],
  ...[
    "\r\n.\0\r\n",
    "\r\n\x0b.\r\n",
    "\r\n\x0c.\r\n",
    "\x85.\x85",
    "\xe2\x80\xa8.\xe2\x80\xa9",
    "\x1a",
    "\x7f",
    "\xff",
  ],
  ...[
    "\xc3",
    "\xed\xa0\x80",
    "\xf0\x9f\x98\x80",
    "\xc5\xbf",
    " ",
    "\t",
    "<",
    ">",
    "@",
    ":",
    ";",
    ",",
    "=",
    "+",
    '"',
    "\\",
  ],
  ...["[", "]", "-", "0", "99999999999999999999", "__proto__", "constructor", "=00", "+0D+0A", "%0d%0a", "\\r\\n"],
].map(octetsOf);

const units = [..." .<\r\n0A\xff"].map((unit) => octetsOf(unit)[0] ?? 0);
const lengths = [63, 64, 65, 254, 255, 256, 510, 511, 512, 998, 999, 1000, 2047, 2048, 2049, 4097, 13_000];

/** A run of one octet around a limit. */
const long = fc
  .tuple(fc.constantFrom(...units), fc.constantFrom(...lengths))
  .map(([unit, length]) => new Uint8Array(length).fill(unit));

const KINDS = ["flip", "set", "cut", "insert", "double", "drop", "swap", "long"] as const;

interface Mutation {
  readonly kind: (typeof KINDS)[number];
  readonly at: number;
  readonly what: number;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom(...KINDS),
  at: fc.nat(0xffff),
  what: fc.nat(0xffff),
});

/** Inputs for a target: words of its language or a case of its corpus, then damaged. They shrink. */
export function inputsFor(target: Target, corpus: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const word = fc.constantFrom(...target.words.map(octetsOf));
  const piece = fc.oneof(
    { weight: 12, arbitrary: word },
    { weight: 2, arbitrary: fc.constantFrom(...troubles) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }) },
    { weight: 1, arbitrary: long },
  );
  const opening = fc.constantFrom(new Uint8Array(0), ...(target.openings ?? []).map(octetsOf));
  const made = fc
    .tuple(
      opening,
      fc.array(fc.oneof({ weight: 8, arbitrary: piece }, { weight: 1, arbitrary: opening }), { maxLength: 20 }),
    )
    .map(([first, pieces]) => concatBytes([first, ...pieces]));
  const base = fc.oneof(
    { weight: 6, arbitrary: made },
    { weight: 3, arbitrary: fc.constantFrom(new Uint8Array(0), ...corpus) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
  const damage = fc.oneof(fc.constant([]), fc.array(mutation, { maxLength: 5 }));
  return fc.tuple(base, damage).map(([octets, mutations]) => mutations.reduce(mutate, octets));
}

function mutate(octets: Uint8Array, { kind, at: place, what }: Mutation): Uint8Array {
  const at = place % (octets.length + 1);
  const to = Math.min(octets.length, at + 1 + (what % 40));
  const head = octets.subarray(0, at);
  const tail = octets.subarray(at);
  const trouble = troubles[what % troubles.length] ?? tail;
  switch (kind) {
    case "flip":
      return octets.map((octet, index) => (index === at ? octet ^ (1 << (what & 7)) : octet));
    case "set":
      return octets.map((octet, index) => (index === at ? what & 0xff : octet));
    case "cut":
      return head;
    case "insert":
      return concatBytes([head, trouble, tail]);
    case "double":
      return concatBytes([octets.subarray(0, to), tail]);
    case "drop":
      return concatBytes([head, octets.subarray(to)]);
    case "swap":
      return concatBytes([tail, head]);
    case "long": {
      const octet = octets[at] ?? 0x41;
      return concatBytes([head, new Uint8Array(lengths[what % lengths.length] ?? 0).fill(octet), tail]);
    }
  }
}
