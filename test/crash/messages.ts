// The mail of a crash run: what message `number` is follows from its number, so that every peer can check it.
import { encodeUtf8 } from "../../src/base/index.ts";

const PADDING = "0123456789 padding that makes a message of some size\r\n";
/** Larger than what the store keeps in memory of a message on its way in. */
const LARGE_LINES = 6000;
/** Kinds of messages, and every so many of each kind: a large one, one for a mailbox that nobody had before. */
const KINDS = 8;
const LARGE_EVERY = 5;
const NEW_BOX_EVERY = 4;

export const DOMAINS = { maildir: "maildir.test", hop: "hop.test", sender: "load.test" } as const;

export interface TestMessage {
  readonly number: number;
  readonly sender: string;
  /** Whom it must reach. */
  readonly recipients: readonly string[];
  /** Those whom the next hop refuses; the sender must be told, once. */
  readonly refused: readonly string[];
  readonly octets: Uint8Array;
}

/** Each address occurs in one message only, so that an arrival is known by its recipient. */
export function testMessage(number: number): TestMessage {
  const turn = Math.floor(number / KINDS);
  const box = turn % NEW_BOX_EVERY === 0 ? `box${number}` : "box";
  const local = `${box}+n${number}@${DOMAINS.maildir}`;
  const remote = (prefix: string): string => `${prefix}${number}@${DOMAINS.hop}`;
  const kinds: readonly Pick<TestMessage, "recipients" | "refused">[] = [
    { recipients: [local], refused: [] },
    { recipients: [remote("n")], refused: [] },
    { recipients: [local, remote("n")], refused: [] },
    { recipients: [], refused: [remote("x")] },
    { recipients: [remote("l")], refused: [] },
    { recipients: [local], refused: [] },
    { recipients: [remote("n"), remote("m"), remote("l")], refused: [] },
    { recipients: [local, remote("n")], refused: [remote("x")] },
  ];
  const kind = kinds[number % KINDS] ?? { recipients: [], refused: [] };
  const large = number % KINDS === 5 && turn % LARGE_EVERY === 0;
  return {
    number,
    sender: `n${number}@${DOMAINS.sender}`,
    ...kind,
    octets: encodeUtf8(text(number, large ? LARGE_LINES : 1 + (number % 120))),
  };
}

/** What the next hop does with a recipient: takes it, refuses it for good, or (the first time) for now. */
export function fateAtHop(localPart: string): "taken" | "refused" | "later" {
  return localPart.startsWith("x") ? "refused" : localPart.startsWith("l") ? "later" : "taken";
}

/** Which message arrived, and whether it is as it was sent, behind trace fields; null where it is none of ours. */
export function readMessage(arrived: string): { readonly number: number; readonly intact: boolean } | null {
  const found = /^X-Number: (\d+)\r$/m.exec(arrived)?.[1];
  if (found === undefined) return null;
  const number = Number(found);
  return { number, intact: arrived.endsWith(Buffer.from(testMessage(number).octets).toString("latin1")) };
}

function text(number: number, lines: number): string {
  return `X-Number: ${number}\r\nSubject: crash\r\n\r\n${PADDING.repeat(lines)}end ${number}\r\n`;
}
