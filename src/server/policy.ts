import type { Endpoint, TlsInfo } from "../net/stream.ts";
import type { Mailbox, MailParameters, RcptParameters, Reply, ReversePath } from "../smtp/index.ts";

/** Who is calling. A new value after STARTTLS and after AUTH. */
export interface Client {
  /** Names the connection in logs and trace fields. */
  readonly sessionId: string;
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly tls: TlsInfo | null;
  /** Its host name, where a trusted peer told it (XCLIENT); null where that has none either. */
  readonly name?: string | null;
  /**
   * The name under which the certificate that it showed in this TLS session is known (see `KnownPeer`); null, or absent, where
   * none was asked for, none was shown, or nobody knows it. It is no SASL identity: it logs nobody in.
   */
  readonly certificate?: string | null;
  /**
   * Channel binding data of this TLS session by type (`tls-exporter` of RFC 9266, `tls-server-end-point` of RFC 5929); null for a
   * type that is not known or not defined for it, and for all where another client spoke for this one. Absent in clear text.
   */
  readonly channelBinding?: (type: string) => Uint8Array | null;
}

/** The argument of EHLO, HELO or LHLO, as given; it proves nothing. */
export interface Hello {
  readonly verb: "EHLO" | "HELO" | "LHLO";
  readonly name: string;
}

/** Yes, or no with the reply that says why. `close` ends the connection after the reply. */
export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "refuse"; readonly reply: Reply; readonly close?: boolean };

/** What a session offers in EHLO beyond what the engine always does. */
export interface Offer {
  /** SASL mechanisms, in order of preference; empty: no AUTH. Never offered in clear text, whatever stands here. */
  readonly mechanisms: readonly string[];
  /** Octets; announced as SIZE (RFC 1870) and enforced by the engine. */
  readonly messageSize: number;
  /** Recipients of one transaction; beyond it 452 4.5.3 (RFC 5321 §4.5.3.1.10). */
  readonly recipients: number;
  /** Nothing but EHLO, STARTTLS, NOOP, RSET and QUIT before TLS: 530 5.7.0 (RFC 3207 §4). */
  readonly requireTls: boolean;
  /** MAIL commands of this connection, announced as MAILMAX (RFC 9422); default: the server's limit. */
  readonly transactions?: number;
  /** No MAIL before AUTH: 530 5.7.0 (RFC 4954 §6). */
  readonly requireAuth: boolean;
  /** Further EHLO lines, in order: keyword and parameters. */
  readonly extensions: readonly (readonly [keyword: string, ...parameters: string[]])[];
}

/** One step of a SASL exchange, answered by the policy (RFC 4954 §4). */
export type SaslVerdict =
  | { readonly kind: "challenge"; readonly data: Uint8Array }
  | { readonly kind: "authenticated"; readonly identity: string }
  | { readonly kind: "refuse"; readonly reply: Reply; readonly close?: boolean };

export interface MailRequest {
  readonly hello: Hello;
  readonly identity: string | null;
  readonly reversePath: ReversePath;
  readonly parameters: MailParameters;
}

export interface RecipientRequest {
  /** The bare `<Postmaster>` of RFC 5321 §4.5.1 comes as postmaster at the server's own hostname. */
  readonly recipient: Mailbox;
  readonly parameters: RcptParameters;
}

/** A transaction at the moment its body is to come. */
export interface Transaction extends MailRequest {
  readonly recipients: readonly RecipientRequest[];
}

/**
 * Takes one message body. The engine calls `write` in order, then exactly one of `finish` or `abort`. A promise from `write`
 * stops reading from the peer until it settles (back-pressure).
 */
export interface MessageSink {
  /** The array is the sink's to keep, unless it `copies`. */
  write(chunk: Uint8Array): void | Promise<void>;
  /**
   * True from where it keeps nothing of what `write` is given, once that returned or its promise settled. The engine then frees the memory
   * at once, so that a large message leaves no garbage of its own size behind. Never false again. Default: false.
   */
  readonly copies?: boolean;
  /**
   * The message is whole. Resolves when it is safe to send the reply; 2yz takes responsibility. In LMTP one reply is for all
   * recipients, and several are for each, in the order of `Transaction.recipients` (RFC 2033 §4.2).
   */
  finish(): Promise<Reply | readonly Reply[]> | Reply | readonly Reply[];
  /** The body will not be completed, or was refused by the engine; nothing of it may be delivered. */
  abort(): void | Promise<void>;
}

export type BodyVerdict =
  | { readonly kind: "accept"; readonly sink: MessageSink }
  | { readonly kind: "refuse"; readonly reply: Reply; readonly close?: boolean };

type Maybe<T> = T | Promise<T>;

/**
 * What a service decides; one for the MTA, one for the MSA, or a library user's own. An error thrown or rejected here is
 * logged and answered 451 4.3.0, and its text never reaches the peer.
 */
export interface Policy {
  /** May this client talk at all? A refusal (554 or 421) is the greeting. Asked once, before the greeting. */
  connect(client: Client): Maybe<Verdict>;
  /** A new conversation: after the greeting, and again after STARTTLS, where nothing of the first may live on. */
  begin(client: Client): Conversation;
}

/** The decisions within one connection, between its start (or STARTTLS) and its end. */
export interface Conversation {
  /** Read once at the start, for `requireTls`, and at each EHLO and HELO. */
  offer(): Offer;
  hello?(hello: Hello): Maybe<Verdict>;
  /**
   * A step of AUTH: `response` is the client's (null: AUTH came without an initial response). The first call for an exchange has
   * `first` true. Decoding base64 and `*` are the engine's.
   */
  sasl?(mechanism: string, response: Uint8Array | null, first: boolean): Maybe<SaslVerdict>;
  mail?(request: MailRequest): Maybe<Verdict>;
  recipient?(request: RecipientRequest, transaction: Transaction): Maybe<Verdict>;
  /** Asked at DATA and first BDAT. */
  body(transaction: Transaction): Maybe<BodyVerdict>;
  /** VRFY; without it 252 2.5.0 (RFC 5321 §3.5.3). */
  verify?(argument: string): Maybe<Reply>;
  /** The connection, or the clear-text part of it, is over. */
  end?(): void;
}
