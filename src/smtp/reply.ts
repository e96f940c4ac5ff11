import type { Result } from "../base/result.ts";
import type { EnhancedStatus } from "./status.ts";

/**
 * A reply (RFC 5321 §4.2). `status` is the enhanced status code that stood at the start of each line (RFC 2034 §4) and is
 * not part of `lines`. `lines` holds at least one line of text (it may be empty), without CR, LF or code.
 */
export interface Reply {
  /** 200 to 559 (RFC 5321 §4.2 allows 2yz–5yz). */
  readonly code: number;
  readonly status: EnhancedStatus | null;
  readonly lines: readonly string[];
}

/** "success" is 2yz, "continue" 3yz, "temporary" 4yz, "permanent" 5yz (RFC 5321 §4.2.1). */
export type ReplySeverity = "success" | "continue" | "temporary" | "permanent";

export declare function severity(reply: Reply): ReplySeverity;

/** A one- or many-line reply; `status` as `"2.1.0"` text or null. Throws on a code or status that is none: a bug. */
export declare function reply(code: number, status: string | null, ...lines: readonly string[]): Reply;

/**
 * The octets of a reply, each line ended by CRLF, split at 512 octets where text is long (RFC 5321 §4.5.3.1.5). CR, LF and
 * other controls in the text become spaces, so that no text can forge a line. Cannot fail.
 */
export declare function formatReply(reply: Reply): Uint8Array;

/** The reply as one printable line for logs and reports: `550 5.1.1 No such user / second line`. */
export declare function describeReply(reply: Reply): string;

export interface ReplyLimits {
  /** Octets of one line with its CRLF. */
  readonly line: number;
  readonly lines: number;
  /** Octets of a whole reply. */
  readonly octets: number;
}

export type ReplyProblem =
  | { readonly kind: "syntax"; readonly line: string }
  | { readonly kind: "mismatchedCodes"; readonly first: number; readonly then: number }
  | { readonly kind: "bareNewline" }
  | { readonly kind: "tooLong"; readonly limit: keyof ReplyLimits };

/**
 * Turns octets into replies, one at a time, however they are cut. After a problem the decoder is spent: the connection has
 * to be closed. Text that is not UTF-8 is taken with U+FFFD; it is untrusted all the same.
 */
export declare class ReplyDecoder {
  constructor(limits?: Partial<ReplyLimits>);
  /** Takes octets; `replies` are those completed, in order. */
  push(bytes: Uint8Array): Result<readonly Reply[], ReplyProblem>;
  /** True between the first octet of a reply and its last. */
  readonly midReply: boolean;
}
