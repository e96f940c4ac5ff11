import assert from "node:assert/strict";
import type { Reply } from "../../src/smtp/index.ts";
import { BARE_NEWLINE, endOfData, repaired, withoutStuffing } from "./reference.ts";

/** One connection as seen from outside: what the client said, whole, and what it was told. */
export interface Conversation {
  readonly said: string;
  readonly replies: readonly Reply[];
  /** The server closed before the client did. */
  readonly closed: boolean;
  /** Bodies that the server took. */
  readonly messages: readonly string[];
  readonly bareNewlines: "refuse" | "repair";
  /** Octets of a command with its CRLF: a longer line is none, and so announces no chunk. */
  readonly commandLine: number;
  /** In LMTP the end of a body has a reply for each recipient that was taken (RFC 2033 §4.2). */
  readonly protocol: "smtp" | "lmtp";
}

/** `BDAT size [LAST]` (RFC 3030 §2) as far as a size that may be waited for. */
const CHUNK = /^bdat +([0-9]{1,15})( +last)?[ \t]*$/i;

/**
 * Goes along a conversation line by line and reply by reply, knowing of SMTP only this: the server greets; each line ended by CRLF
 * has one reply; behind a 354 comes a body that CRLF.CRLF ends, and the end has one reply; behind a BDAT come its octets; behind
 * a 421 comes nothing. So it finds the messages that were honestly sent, and those have to be the messages that were taken: a smuggled
 * one would be one too many.
 */
export function checkConversation(conversation: Conversation): void {
  const { said, replies, closed, messages, bareNewlines, commandLine, protocol } = conversation;
  const taken: string[] = [];
  const [greeting, ...rest] = replies;
  assert.equal(greeting?.code, 220);
  let at = 0;
  let chunks = "";
  let binary = false;
  let recipients = 0;
  let index = 0;
  for (; index < rest.length; index++) {
    const reply = rest[index];
    assert.ok(reply !== undefined);
    const last = index === rest.length - 1;
    if (reply.code === 421) {
      assert.ok(last && closed, "421 is the last word");
      break;
    }
    const end = said.indexOf("\r\n", at);
    if (end === -1) {
      // A bare newline is answered before the line that it stands in has ended.
      const code = rest[index - 1]?.code === 334 ? 501 : 500;
      assert.ok(reply.code === code && BARE_NEWLINE.test(said.slice(at)), `no line for reply ${reply.code}`);
      assert.ok(last || (index === rest.length - 2 && rest.at(-1)?.code === 421), "one reply for an unfinished line");
      at = said.length;
      break;
    }
    const line = said.slice(at, end);
    at = end + 2;
    // Behind a 334 a line is a response, whatever it looks like (RFC 4954 §4).
    const isResponse = rest[index - 1]?.code === 334;
    const chunk = isResponse || line.length + 2 > commandLine ? null : CHUNK.exec(line);
    if (chunk !== null && reply.code !== 502) {
      const size = Number(chunk[1]);
      if (said.length - at < size) {
        assert.ok(last && closed, "a chunk is answered when it has come whole, or the connection ends");
        break;
      }
      if (reply.code === 250) chunks += said.slice(at, at + size);
      at += size;
      if (reply.code !== 250 || chunk[2] !== undefined) {
        if (reply.code === 250) taken.push(binary ? chunks : textOf(chunks, bareNewlines));
        chunks = "";
      }
      continue;
    }
    if (reply.code !== 354) {
      if (/^rcpt/i.test(line) && reply.code === 250) recipients++;
      if (/^mail/i.test(line) && reply.code === 250) recipients = 0;
      if (/^mail/i.test(line) && reply.code === 250) binary = /body=binarymime/i.test(line);
      if (/^(?:rset|ehlo|helo|lhlo|xclient)/i.test(line) && reply.code < 300) chunks = "";
      continue;
    }
    assert.match(line, /^data[ \t]*$/i, "354 answers DATA alone");
    const body = endOfData(said.slice(at));
    const verdict = rest[++index];
    if (body === null) {
      assert.ok(verdict === undefined || (index === rest.length - 1 && closed), "a body without its end has no reply");
      at = said.length;
      break;
    }
    if (verdict === undefined || (closed && index === rest.length - 1 && verdict.code !== 250)) {
      assert.ok(closed, "the end of a body is answered");
      break;
    }
    at += body.content.length + 3;
    if (protocol === "lmtp") {
      const more = rest.slice(index + 1, index + recipients).map(({ code }) => code);
      assert.deepEqual(more, Array<number>(recipients - 1).fill(verdict.code), "a reply for each recipient");
      index += more.length;
    }
    if (verdict.code !== 250) continue;
    taken.push(textOf(withoutStuffing(body.content), bareNewlines));
  }
  assert.deepEqual(messages, taken, "what was taken is what was sent, message by message");
  if (closed) return;
  assert.equal(index >= rest.length || at === said.length, true);
  const unanswered = said.slice(at);
  const unfinished = CHUNK.test(unanswered.split("\r\n")[0] ?? "") || rest.at(-1)?.code === 354;
  assert.ok(unfinished || !unanswered.includes("\r\n"), `every line has its reply: ${JSON.stringify(unanswered)}`);
}

/** Text as it may be taken. */
function textOf(content: string, bareNewlines: Conversation["bareNewlines"]): string {
  assert.ok(bareNewlines === "repair" || !BARE_NEWLINE.test(content), "a bare newline is refused");
  return bareNewlines === "repair" ? repaired(content) : content;
}
