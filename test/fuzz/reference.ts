/*
 * The rules of RFC 5321 once more, in the plainest way and without a line of the product: texts of one character an octet, searched
 * whole. What the product does octet by octet, cut anywhere, has to come to the same.
 */

/** A bare CR or a bare LF (RFC 5321 §2.3.8). */
export const BARE_NEWLINE: RegExp = /\r(?!\n)|(?<!\r)\n/;

/** A body up to its end mark and what follows; null without one. The CRLF of the DATA command counts (RFC 5321 §4.1.1.4). */
export function endOfData(text: string): { readonly content: string; readonly rest: string } | null {
  const at = `\r\n${text}`.indexOf("\r\n.\r\n");
  return at === -1 ? null : { content: text.slice(0, at), rest: text.slice(at + 3) };
}

/** RFC 5321 §4.5.2. */
export function withoutStuffing(content: string): string {
  return `\r\n${content}`.replaceAll("\r\n.", "\r\n").slice(2);
}

export function repaired(text: string): string {
  return text.replace(/\r\n|\r|\n/g, "\r\n");
}

/** What a line decoder has to tell of `text`: lines, `tooLong` and `bareNewline`. */
export function linesOf(text: string, limit: number): readonly string[] {
  const events: string[] = [];
  let rest = text;
  for (;;) {
    const end = rest.indexOf("\r\n");
    const line = end === -1 ? rest : rest.slice(0, end);
    const bare = (end === -1 ? /\r(?!\n|$)|\n/ : /\r|\n/).exec(line);
    // A CR is known to be bare by the octet behind it.
    const seen = bare === null ? 0 : bare.index + (bare[0] === "\r" ? 1 : 0);
    if (bare !== null && seen < limit) events.push("bareNewline");
    else if (end !== -1) events.push(line.length + 2 > limit ? "tooLong" : `line ${line}`);
    if (end === -1) return events;
    rest = rest.slice(end + 2);
  }
}

/** Receivers that end a message in ways of their own: each newline as one of these, a dot, and a newline. */
export const LENIENT_RECEIVERS: readonly { readonly name: string; readonly newline: RegExp }[] = [
  { name: "LF alone is a newline", newline: /\r\n|\n/g },
  { name: "CR alone is a newline", newline: /\r\n|\r/g },
  { name: "any of them is a newline", newline: /\r\n|\r|\n/g },
  { name: "CR is dropped", newline: /\r*\n/g },
  { name: "a vertical tab or form feed is a newline", newline: /\r\n|\v|\f/g },
];

/** How many messages a receiver finds that reads newlines by `newline`, and whether anything follows the last. */
export function messagesFor(newline: RegExp, octets: string): { readonly messages: number; readonly rest: string } {
  const parts = `\n${octets.replace(newline, "\n")}`.split("\n.\n");
  return { messages: parts.length - 1, rest: parts.at(-1) ?? "" };
}
