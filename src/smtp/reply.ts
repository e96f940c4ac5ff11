import { assert, printable } from "../base/index.ts";
import { MAX_REPLY_LINE_SENT } from "./limits.ts";
import { type EnhancedStatus, formatStatus, parseStatus } from "./status.ts";
import { encodeLine, hasControls, isAscii, replaceControls, utf8Length } from "./text.ts";

/**
 * A reply (RFC 5321 §4.2). `status` is the enhanced status code that stood at the start of each line (RFC 2034 §4) and is
 * not part of `lines`. `lines` holds at least one line of text (it may be empty), without CR, LF or code.
 */
export interface Reply {
  /** 200 to 559 (RFC 5321 §4.2) as we make it; up to 599 as we read it. */
  readonly code: number;
  readonly status: EnhancedStatus | null;
  readonly lines: readonly string[];
}

/** "success" is 2yz, "continue" 3yz, "temporary" 4yz, "permanent" 5yz (RFC 5321 §4.2.1). */
export type ReplySeverity = "success" | "continue" | "temporary" | "permanent";

export function severity(reply: Reply): ReplySeverity {
  if (reply.code < 300) return "success";
  if (reply.code < 400) return "continue";
  return reply.code < 500 ? "temporary" : "permanent";
}

/**
 * A one- or many-line reply; `status` as `"2.1.0"` text or null. Throws on a code or status that is none, or on two whose classes
 * differ: a bug.
 */
export function reply(code: number, status: string | null, ...lines: readonly string[]): Reply {
  assert(/^[2-5][0-5][0-9]$/.test(String(code)), `${code} is a reply code`);
  const parsed = status === null ? null : parseStatus(status);
  assert(parsed === null ? status === null : statusFits(parsed, code), `${status} is an enhanced status of ${code}`);
  return { code, status: parsed, lines: lines.length === 0 ? [""] : lines };
}

/** An enhanced status and a code say the same of success and permanence (RFC 2034 §4). */
export function statusFits(status: EnhancedStatus, code: number): boolean {
  return status.class === Math.floor(code / 100);
}

/** What fits in a line beside `250-` and CRLF. */
const MAX_TEXT = MAX_REPLY_LINE_SENT - 6;

/**
 * The octets of a reply, each line ended by CRLF, split at 512 octets where text is long (RFC 5321 §4.5.3.1.5). CR, LF and
 * other controls in the text become spaces, so that no text can forge a line. Cannot fail.
 */
export function formatReply(reply: Reply): Uint8Array {
  const status = reply.status === null ? "" : `${formatStatus(reply.status)} `;
  const texts: string[] = [];
  for (const line of reply.lines) {
    const text = hasControls(line) ? replaceControls(line) : line;
    if (text.length + status.length <= MAX_TEXT && isAscii(text)) texts.push(text);
    else texts.push(...splitText(text.toWellFormed(), MAX_TEXT - status.length));
  }
  const last = texts.pop() ?? "";
  let whole = "";
  for (const text of texts) whole += `${reply.code}-${status}${text}\r\n`;
  return encodeLine(`${whole}${reply.code} ${status}${last}\r\n`);
}

/** Cuts `text` into pieces of at most `limit` octets, behind a space where there is one in the second half. */
function splitText(text: string, limit: number): readonly string[] {
  const pieces: string[] = [];
  let piece = "";
  let octets = 0;
  for (const char of text) {
    const width = utf8Length(char);
    if (octets + width > limit) {
      const space = piece.lastIndexOf(" ") + 1;
      const cut = space > piece.length / 2 ? space : piece.length;
      pieces.push(piece.slice(0, cut));
      piece = piece.slice(cut);
      octets = utf8Length(piece);
    }
    piece += char;
    octets += width;
  }
  pieces.push(piece);
  return pieces;
}

/** The reply as one printable line for logs and reports: `550 5.1.1 No such user / second line`. */
export function describeReply(reply: Reply): string {
  const status = reply.status === null ? "" : ` ${formatStatus(reply.status)}`;
  const text = reply.lines.filter((line) => line !== "").join(" / ");
  return printable(`${reply.code}${status}${text === "" ? "" : ` ${text}`}`);
}
