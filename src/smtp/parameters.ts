import type { Result } from "../base/result.ts";
import type { Mailbox } from "./address.ts";

/** What MAIL may carry (RFC 5321 §4.1.2 esmtp-param). A key is present only when the client gave the parameter. */
export interface MailParameters {
  /** Declared octets (RFC 1870 §6). */
  readonly size?: number;
  /** RFC 6152 §3, RFC 3030 §3. */
  readonly body?: "7BIT" | "8BITMIME" | "BINARYMIME";
  /** RFC 6531 §3.1. */
  readonly smtputf8?: true;
  /** Who submitted it first; null is `AUTH=<>` (RFC 4954 §5). */
  readonly auth?: Mailbox | null;
  /** RFC 3461 §4.3. */
  readonly ret?: "FULL" | "HDRS";
  /** Decoded from xtext (RFC 3461 §4.4). */
  readonly envid?: string;
  /** RFC 8689 §2. */
  readonly requireTls?: true;
}

/** What RCPT may carry. */
export interface RcptParameters {
  /** RFC 3461 §4.1; never empty; NEVER stands alone. */
  readonly notify?: readonly ("NEVER" | "SUCCESS" | "FAILURE" | "DELAY")[];
  /** RFC 3461 §4.2, decoded from xtext. */
  readonly orcpt?: { readonly type: string; readonly address: string };
}

export type ParameterProblem =
  /** 555: a parameter nobody here knows, or one whose extension was not offered. */
  | { readonly kind: "unknown"; readonly keyword: string }
  /** 501: known, and its value is wrong. */
  | { readonly kind: "badValue"; readonly keyword: string; readonly expected: string }
  /** 501: given twice. */
  | { readonly kind: "repeated"; readonly keyword: string };

/** A parameter before it is understood: `KEYWORD` or `KEYWORD=value`; keyword upper-cased. */
export interface RawParameter {
  readonly keyword: string;
  readonly value: string | null;
}

/** Understands parameters by the ordered tables; `offered` are EHLO keywords, and a parameter of one not offered is unknown. */
export declare function readMailParameters(
  raw: readonly RawParameter[],
  offered: ReadonlySet<string>,
): Result<MailParameters, ParameterProblem>;
export declare function readRcptParameters(
  raw: readonly RawParameter[],
  offered: ReadonlySet<string>,
): Result<RcptParameters, ParameterProblem>;

/** The parameters as a client writes them, in table order, each with a leading space; `""` when there are none. */
export declare function formatMailParameters(parameters: MailParameters): string;
export declare function formatRcptParameters(parameters: RcptParameters): string;
