import type { Clock, Log } from "../base/index.ts";
import type { ClearStream, ClientTlsOptions, NetProblem, TlsInfo, upgradeClient } from "../net/index.ts";
import type {
  Extensions,
  Mailbox,
  MailParameters,
  RcptParameters,
  Reply,
  ReplyProblem,
  ReversePath,
} from "../smtp/index.ts";

/** What the client does about TLS on a connection that starts in clear text. */
export type ClientTls =
  /** Never STARTTLS. */
  | { readonly kind: "none" }
  /** STARTTLS where offered; on refusal of the command clear text goes on. A failed handshake ends the connection. */
  | { readonly kind: "opportunistic"; readonly options: ClientTlsOptions }
  /** STARTTLS or nothing: only EHLO, STARTTLS and QUIT are ever sent in clear. */
  | { readonly kind: "required"; readonly options: ClientTlsOptions }
  /** The handshake comes first (port 465). */
  | { readonly kind: "implicit"; readonly options: ClientTlsOptions };

/** How to log in. Never in clear text, whatever the server offers there. */
export type ClientAuth = (
  | { readonly user: string; readonly password: string }
  /** An access token of OAuth 2.0 that speaks of `user`. */
  | { readonly user: string; readonly token: string }
  /** By the certificate shown in the handshake; `user` only where it may be one of several. */
  | { readonly certificate: true; readonly user?: string }
) & {
  /**
   * In order of preference, as far as offered. Default: for a password SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN, LOGIN; for a token
   * OAUTHBEARER, XOAUTH2; for a certificate EXTERNAL.
   */
  readonly mechanisms?: readonly string[];
};

/** RFC 5321 §4.5.3.2, milliseconds, with bounds on what takes many steps. */
export interface ClientTimeouts {
  readonly greeting: number;
  readonly command: number;
  readonly mail: number;
  readonly rcpt: number;
  readonly dataStart: number;
  /** For a block of the body to be taken, besides what it takes at `bodyRate` (of a large block 256 KiB count). */
  readonly dataBlock: number;
  readonly dataEnd: number;
  /** For all replies of a transaction up to the go-ahead, together, and 20 seconds more for each that came. */
  readonly envelope: number;
  /** A server may keep a body waiting for so long in all, and a second more for each `bodyRate` octets that it took. */
  readonly body: number;
  /** Octets a second that a long body must reach on the whole; above 0. */
  readonly bodyRate: number;
}

export interface OpenOptions {
  /** The connection, already open; the client owns it from here. */
  readonly stream: ClearStream;
  /** Our name in EHLO. */
  readonly hello: string;
  readonly protocol?: "smtp" | "lmtp";
  readonly tls: ClientTls;
  readonly auth?: ClientAuth;
  readonly timeouts?: Partial<ClientTimeouts>;
  /** "auto" (default): BDAT where CHUNKING is offered and it saves a round trip. "never": as if it were not offered. */
  readonly chunking?: "auto" | "never";
  /** Runs the TLS handshake; default Node's. For tests without keys and sockets. */
  readonly upgrade?: typeof upgradeClient;
  /** Where time comes from; default the system's. */
  readonly clock?: Clock;
  /** Gives up opening, and closes the connection. */
  readonly signal?: AbortSignal;
  readonly log?: Log;
}

/** Why there is no session. */
export type ClientProblem =
  | { readonly kind: "network"; readonly stage: Stage; readonly problem: NetProblem }
  /** The server said no, at the stage named. */
  | { readonly kind: "refused"; readonly stage: Stage; readonly reply: Reply }
  /** What it sent is not SMTP, or more than was asked for. */
  | { readonly kind: "protocol"; readonly stage: Stage; readonly detail: string; readonly problem: ReplyProblem | null }
  | { readonly kind: "timeout"; readonly stage: Stage }
  /** The connection ended where a reply was owed. */
  | { readonly kind: "closed"; readonly stage: Stage }
  /** TLS was demanded and STARTTLS not offered. */
  | { readonly kind: "tlsNotOffered" }
  /** No mechanism in common, or not over TLS. */
  | { readonly kind: "authNotOffered"; readonly offered: readonly string[] };

export type Stage =
  | "connect"
  | "greeting"
  | "hello"
  | "starttls"
  | "handshake"
  | "auth"
  | "mail"
  | "rcpt"
  | "data"
  | "body"
  | "end"
  | "reset"
  | "quit";

/** A body as the client needs it; `queue`'s Body has this shape. */
export interface OutgoingBody {
  /** Octets; null where that is not known beforehand, and then no SIZE is declared. */
  readonly size: number | null;
  /** An exception of the source, or less than `size`, ends the connection before the end of data, and `send` rejects with it. */
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Told of a chunk that went to the kernel and is not looked at again, so that its memory can be used anew. */
  release?(chunk: Uint8Array): void;
}

export interface OutgoingMessage {
  readonly reversePath: ReversePath;
  /** Only what the next hop offers is spoken; what must not be dropped is refused, see `unsupported`. */
  readonly parameters: MailParameters;
  readonly recipients: readonly { readonly mailbox: Mailbox; readonly parameters: RcptParameters }[];
  readonly body: OutgoingBody;
}

/** One recipient's fate in one transaction. */
export type RecipientResult =
  | { readonly kind: "accepted"; readonly reply: Reply }
  /**
   * The no, and to what: "mail", "rcpt", "data" or "end". `local`: the reply is ours, made before a word was sent, because the
   * server does not offer what the message needs. A 421 stands at the stage where it came.
   */
  | { readonly kind: "refused"; readonly stage: Stage; readonly reply: Reply; readonly local?: true }
  /** The session broke. `uncertain`: the end of data had been sent, so it may have been taken. */
  | { readonly kind: "broken"; readonly problem: ClientProblem; readonly uncertain: boolean };

/** An open session, past EHLO, STARTTLS and AUTH. One transaction at a time. */
export interface ClientSession {
  readonly greeting: Reply;
  readonly extensions: Extensions;
  readonly tls: TlsInfo | null;
  /** False once broken, closing (421) or quit: make another. */
  readonly usable: boolean;
  /** Transactions begun. */
  readonly transactions: number;
  /**
   * One transaction: one result each recipient, in order. Never rejects for what a peer does; rejects when the body's source
   * throws. Without recipients nothing is sent. Throws when called while another transaction runs. Aborting breaks the session.
   */
  send(message: OutgoingMessage, signal?: AbortSignal): Promise<readonly RecipientResult[]>;
  /** QUIT and close; never rejects, bounded by the command timeout. */
  quit(): Promise<void>;
  /** Closes at once. */
  destroy(): void;
  /** `listener` is called once when the session becomes unusable, at once where it already is. */
  onClose(listener: () => void): void;
}
