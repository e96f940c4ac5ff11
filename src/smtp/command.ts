import type { Result } from "../base/result.ts";
import type { AddressProblem, ForwardPath, ReversePath } from "./address.ts";
import type { RawParameter } from "./parameters.ts";

/** Every verb that this language knows, whether a service offers it or not. */
export type Verb =
  | "EHLO"
  | "HELO"
  | "LHLO"
  | "STARTTLS"
  | "AUTH"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "BDAT"
  | "RSET"
  | "NOOP"
  | "QUIT"
  | "VRFY"
  | "EXPN"
  | "HELP"
  | "ETRN";

export type Command =
  | { readonly verb: "EHLO" | "HELO" | "LHLO"; readonly client: string }
  | { readonly verb: "AUTH"; readonly mechanism: string; readonly initial: string | null }
  | { readonly verb: "MAIL"; readonly reversePath: ReversePath; readonly parameters: readonly RawParameter[] }
  | { readonly verb: "RCPT"; readonly forwardPath: ForwardPath; readonly parameters: readonly RawParameter[] }
  | { readonly verb: "BDAT"; readonly size: number; readonly last: boolean }
  | { readonly verb: "STARTTLS" | "DATA" | "RSET" | "QUIT" }
  | { readonly verb: "NOOP" | "HELP"; readonly argument: string | null }
  | { readonly verb: "VRFY" | "EXPN" | "ETRN"; readonly argument: string };

export type CommandProblem =
  /** 500: no verb of ours. `verb` is what stood there, made printable. */
  | { readonly kind: "unknownVerb"; readonly verb: string }
  /** 501, the verb being known: argument missing, left over, or of the wrong form. */
  | { readonly kind: "badArgument"; readonly verb: Verb; readonly expected: string }
  /** 501/553 with the address at fault. */
  | { readonly kind: "badAddress"; readonly verb: "MAIL" | "RCPT"; readonly problem: AddressProblem }
  /** 500: NUL, other controls, or octets that are not UTF-8. */
  | { readonly kind: "badOctets" }
  /** An HTTP request line or header: the connection must be closed (cross-protocol attack). */
  | { readonly kind: "http" };

/** Parses one command line, given without its CRLF. */
export declare function parseCommand(line: Uint8Array): Result<Command, CommandProblem>;

/**
 * A client's command line with its CRLF. Throws if any value holds CR, LF or NUL: values are checked where they enter, so
 * that here it is a bug (command injection).
 */
export declare function formatCommand(line: string): Uint8Array;
