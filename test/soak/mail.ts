// The mail of a soak run. What message `number` is follows from its number; of its body, which may be large, only one line is in memory.
import { createHash, type Hash } from "node:crypto";
import { encodeUtf8 } from "../../src/base/index.ts";

const KIB = 1024;
const LINE = encodeUtf8("0123456789 the quick brown fox jumps over the lazy dog, and so on and on\r\n");
const CHUNK = Buffer.concat(Array.from({ length: 800 }, () => LINE));

/** Sizes, and in how many of a thousand messages each occurs. */
const SIZES: readonly (readonly [octets: number, often: number])[] = [
  [KIB, 600],
  [8 * KIB, 309],
  [100 * KIB, 80],
  [KIB * KIB, 10],
  [20 * KIB * KIB, 1],
];
const THOUSAND = 1000;

/** Where mail goes, by turns. `refused` comes back as a report. */
const DESTINATIONS = [
  "maildir.test",
  "clear.test",
  "tls.test",
  "maildir.test",
  "tls.test",
  "clear.test",
  "broken.test",
  "refused.test",
] as const;

export const SENDER_DOMAIN = "load.test";

export interface SoakMail {
  readonly number: number;
  readonly sender: string;
  readonly recipient: string;
  readonly refused: boolean;
  /** Octets, header section included. */
  readonly size: number;
  chunks(): Iterable<Uint8Array>;
}

export function soakMail(number: number): SoakMail {
  const domain = DESTINATIONS[number % DESTINATIONS.length] ?? DESTINATIONS[0];
  const header = encodeUtf8(
    `From: <n${number}@${SENDER_DOMAIN}>\r\nDate: Sun, 1 Nov 2026 00:00:00 +0000\r\nMessage-ID: <${number}@${SENDER_DOMAIN}>\r\n` +
      `X-Number: ${number}\r\n\r\n`,
  );
  const lines = linesOf(number);
  return {
    number,
    sender: `n${number}@${SENDER_DOMAIN}`,
    recipient: `box+n${number}@${domain}`,
    refused: domain === "refused.test",
    size: header.length + lines * LINE.length,
    *chunks() {
      yield header;
      for (let left = lines * LINE.length; left > 0; left -= CHUNK.length) {
        yield left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      }
    },
  };
}

function linesOf(number: number): number {
  // A multiplication by a prime spreads the large ones over the run.
  let place = (number * 617) % THOUSAND;
  for (const [octets, often] of SIZES) {
    place -= often;
    if (place < 0) return Math.ceil(octets / LINE.length);
  }
  return 1;
}

const digests = new Map<number, string>();

function digestOf(lines: number): string {
  const known = digests.get(lines);
  if (known !== undefined) return known;
  const hash = createHash("sha1");
  for (let line = 0; line < lines; line++) hash.update(LINE);
  const digest = hash.digest("hex");
  digests.set(lines, digest);
  return digest;
}

/** Reads a message piece by piece, and tells at its end which one it is and whether its body is whole. */
export class MailReader {
  #head = "";
  #hash: Hash | null = null;

  push(chunk: Uint8Array): void {
    if (this.#hash !== null) {
      this.#hash.update(chunk);
      return;
    }
    this.#head += Buffer.from(chunk).toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return;
    this.#hash = createHash("sha1").update(Buffer.from(this.#head.slice(end + 4), "latin1"));
    this.#head = this.#head.slice(0, end + 2);
  }

  /** Null number: none of ours, such as a report. */
  end(): { readonly number: number | null; readonly intact: boolean } {
    const found = /^X-Number: (\d+)\r$/m.exec(this.#head)?.[1];
    if (found === undefined) return { number: null, intact: false };
    const number = Number(found);
    return { number, intact: this.#hash?.digest("hex") === digestOf(linesOf(number)) };
  }
}
