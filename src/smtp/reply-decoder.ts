import { CR, concatBytes, decodeUtf8Lenient, EMPTY, err, LF, ok, printable, type Result } from "../base/index.ts";
import { MAX_REPLY, MAX_REPLY_LINE, MAX_REPLY_LINES } from "./limits.ts";
import { type Reply, statusFits } from "./reply.ts";
import { type EnhancedStatus, parseStatus } from "./status.ts";

export interface ReplyLimits {
  /** Octets of one line with its CRLF. */
  readonly line: number;
  readonly lines: number;
  /** Octets of a whole reply. */
  readonly octets: number;
}

export type ReplyProblem =
  | { readonly kind: "syntax"; readonly line: string }
  | { readonly kind: "mismatchedCodes"; readonly first: number; readonly second: number }
  | { readonly kind: "bareNewline" }
  | { readonly kind: "tooLong"; readonly limit: keyof ReplyLimits };

/** A reply of which more lines are to come. */
interface Unfinished {
  readonly code: number;
  readonly status: EnhancedStatus | null;
  readonly lines: string[];
  octets: number;
}

const NOTHING: Result<readonly Reply[], never> = ok([]);

/**
 * Reply-line of RFC 5321 §4.2.
 *
 * Deviation: the second digit may be any, because hosts that answer 571 or 590 exist and only the first digit decides
 * (RFC 5321 §4.3.2).
 */
const REPLY_LINE = /^([2-5][0-9][0-9])(?:([ -])(.*))?$/s;

const LEADING_STATUS = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: (.*))?$/s;

/**
 * Turns octets into replies, one at a time, however they are cut. After a problem the decoder is spent: the connection has
 * to be closed, and every further `push` tells the same problem. Replies that came whole before a problem in the same octets
 * are given first, with the problem in `problem`: a 250 is a 250, whatever stands behind it. Text that is not UTF-8 is taken with
 * U+FFFD; it is untrusted all the same.
 */
export class ReplyDecoder {
  readonly #limits: ReplyLimits;
  /** Octets of a line whose CRLF has not come. */
  #partial: Uint8Array = EMPTY;
  #unfinished: Unfinished | null = null;
  #problem: ReplyProblem | null = null;

  constructor(limits: Partial<ReplyLimits> = {}) {
    this.#limits = { line: MAX_REPLY_LINE, lines: MAX_REPLY_LINES, octets: MAX_REPLY, ...limits };
  }

  /** True between the first octet of a reply and its last. */
  get midReply(): boolean {
    return this.#partial.length > 0 || this.#unfinished !== null;
  }

  /** What the decoder is spent by, null while it is not. */
  get problem(): ReplyProblem | null {
    return this.#problem;
  }

  /** Takes octets; the value are the replies completed, in order. Look at `problem` behind the last of them. */
  push(bytes: Uint8Array): Result<readonly Reply[], ReplyProblem> {
    if (this.#problem !== null) return err(this.#problem);
    if (bytes.length === 0) return NOTHING;
    const octets = this.#partial.length === 0 ? bytes : concatBytes([this.#partial, bytes]);
    const replies: Reply[] = [];
    let from = 0;
    for (let lf = octets.indexOf(LF); lf !== -1; lf = octets.indexOf(LF, from)) {
      const outcome = this.#takeLine(octets.subarray(from, lf + 1));
      if (!outcome.ok) return this.#spend(outcome.error, replies);
      if (outcome.value !== null) replies.push(outcome.value);
      from = lf + 1;
    }
    if (octets.length - from >= this.#limits.line) return this.#spend({ kind: "tooLong", limit: "line" }, replies);
    // A copy, so that a few octets do not hold a large buffer that belongs to the socket.
    this.#partial = from === octets.length ? EMPTY : octets.slice(from);
    return ok(replies);
  }

  #spend(problem: ReplyProblem, replies: readonly Reply[]): Result<readonly Reply[], ReplyProblem> {
    this.#problem = problem;
    this.#partial = EMPTY;
    this.#unfinished = null;
    return replies.length === 0 ? err(problem) : ok(replies);
  }

  /** Takes one line that ends in LF. The reply is the value where this line was its last. */
  #takeLine(octets: Uint8Array): Result<Reply | null, ReplyProblem> {
    if (octets.length > this.#limits.line) return err({ kind: "tooLong", limit: "line" });
    const end = octets.length - 2;
    if (octets.indexOf(CR) !== end || end < 0) return err({ kind: "bareNewline" });
    const text = decodeUtf8Lenient(octets.subarray(0, end));
    const [, digits, separator, rest = ""] = REPLY_LINE.exec(text) ?? [];
    if (digits === undefined) return err({ kind: "syntax", line: printable(text) });
    const code = Number(digits);
    const before = this.#unfinished;
    if (before !== null && before.code !== code) {
      return err({ kind: "mismatchedCodes", first: before.code, second: code });
    }
    const reply = before === null ? startReply(code, rest) : continueReply(before, rest);
    reply.octets += octets.length;
    if (reply.lines.length > this.#limits.lines) return err({ kind: "tooLong", limit: "lines" });
    if (reply.octets > this.#limits.octets) return err({ kind: "tooLong", limit: "octets" });
    this.#unfinished = separator === "-" ? reply : null;
    return ok(separator === "-" ? null : { code, status: reply.status, lines: reply.lines });
  }
}

function startReply(code: number, rest: string): Unfinished {
  const [, written = "", text = ""] = LEADING_STATUS.exec(rest) ?? [];
  const status = parseStatus(written);
  if (status === null || !statusFits(status, code)) return { code, status: null, lines: [rest], octets: 0 };
  return { code, status, lines: [text], octets: 0 };
}

/** RFC 2034 §4 puts the same status on each line; a line without it, or with another, is all text. */
function continueReply(reply: Unfinished, rest: string): Unfinished {
  const [, written = "", text = ""] = LEADING_STATUS.exec(rest) ?? [];
  const status = parseStatus(written);
  const same = status !== null && reply.status !== null && sameStatus(status, reply.status);
  reply.lines.push(same ? text : rest);
  return reply;
}

function sameStatus(a: EnhancedStatus, b: EnhancedStatus): boolean {
  return a.class === b.class && a.subject === b.subject && a.detail === b.detail;
}
