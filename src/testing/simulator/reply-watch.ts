import type { LinkEnd } from "./link-end.ts";
import type { ClearLinkStream } from "./link-stream.ts";
import { latin1 } from "./read-message.ts";

const TAKEN = /queued as ([0-9A-Z]{11})\r\n/g;
const LONGEST_REPLIES = 4096;

/** Reads what a server writes, in clear text and inside TLS, and tells of each reply by which it takes a message. */
export function watchReplies(stream: ClearLinkStream, told: (id: string, end: LinkEnd, offset: number) => void): void {
  const end = stream.linkEnd;
  end.watch = (octets, from) => {
    if (octets.length > LONGEST_REPLIES || octets[0] !== 0x32) return;
    for (const match of latin1(octets).matchAll(TAKEN)) told(match[1] ?? "", end, from + match.index + match[0].length);
  };
}
