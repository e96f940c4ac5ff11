import type { Command, CommandProblem, DataProblem, Domain, Reply, XclientAttributes } from "../smtp/index.ts";
import type { ServerLimits } from "./limits.ts";
import type {
  BodyVerdict,
  Hello,
  MailRequest,
  Offer,
  RecipientRequest,
  SaslVerdict,
  Transaction,
  Verdict,
} from "./policy.ts";

/** What a session knows from its first moment to its last. STARTTLS ends a session and begins another with its own. */
export interface SessionSettings {
  readonly hostname: Domain;
  /** LMTP is RFC 2033: LHLO instead of EHLO and HELO, and a reply for each recipient after the end of data. */
  readonly protocol: "smtp" | "lmtp";
  /** True when this session runs inside TLS. */
  readonly secure: boolean;
  /** "unavailable": the service has STARTTLS and no certificate to do it with (454). "never": no such command here (502). */
  readonly startTls: "offered" | "unavailable" | "never";
  readonly limits: SessionLimits;
  /**
   * Whether a client certificate that is known is demanded, and stands: "awaited" in clear text, where nothing but STARTTLS leads
   * on; "missing" and "unknown" inside TLS, where nothing leads on (RFC 3207 §4.1).
   */
  readonly certificate: "notRequired" | "awaited" | "known" | "missing" | "unknown";
  /** What a peer that may speak for others has said by XCLIENT so far; null for all other peers. */
  readonly xclient: XclientAttributes | null;
}

/** The limits that count events; those that count time and octets belong to the driver. */
export type SessionLimits = Pick<
  ServerLimits,
  "errors" | "softErrors" | "tarpit" | "refusals" | "junk" | "transactions" | "discard"
>;

/** How often the peer did what leads nowhere, since the last message taken. */
export interface Tally {
  readonly errors: number;
  readonly refusals: number;
  readonly junk: number;
}

/** What EHLO or HELO established, and AUTH after it. */
export interface Talk {
  readonly hello: Hello;
  readonly offer: Offer;
  /** Keywords offered to this client: none after HELO (RFC 5321 §4.1.1.1). A MAIL parameter of any other is unknown. */
  readonly offered: ReadonlySet<string>;
  readonly identity: string | null;
}

/** The phases in which a command line is awaited. */
export type CommandPhase =
  /** `requireTls` as the policy had it at the start: RFC 3207 §4 asks for 530 before EHLO too. */
  | { readonly name: "greeted"; readonly requireTls: boolean }
  | { readonly name: "idle"; readonly talk: Talk }
  | { readonly name: "transaction"; readonly talk: Talk; readonly transaction: Transaction }
  /** Between two chunks of a message (RFC 3030 §2), of which `received` octets came. The sink is the driver's. */
  | {
      readonly name: "chunking";
      readonly talk: Talk;
      readonly transaction: Transaction;
      readonly received: number;
    }
  /**
   * A BDAT failed, and there is no transaction any more. Further chunks may be in the pipeline already and are taken in vain,
   * `skipped` octets so far; the last one gets so many `answers`. For all other commands this is "idle".
   */
  | { readonly name: "spoiled"; readonly talk: Talk; readonly answers: number; readonly skipped: number };

export type Phase =
  | CommandPhase
  /** The policy was asked; nothing else may happen until its decision. */
  | { readonly name: "asking"; readonly question: Question; readonly back: CommandPhase }
  | { readonly name: "connecting" }
  /** A base64 line of the client is awaited (RFC 4954 §4). */
  | { readonly name: "authenticating"; readonly talk: Talk; readonly mechanism: string }
  /** The end of the message gets so many `answers`: in LMTP one a recipient. `chunk` is null where the message comes by DATA. */
  | { readonly name: "receiving"; readonly talk: Talk; readonly answers: number; readonly chunk: MessageChunk | null }
  /** The octets of a refused chunk come, and are nothing to anybody; only then may the refusal be said (RFC 3030 §2). */
  | { readonly name: "skipping"; readonly next: CommandPhase; readonly ending: Ending }
  /** The 220 to STARTTLS was said: this session is over and the driver begins another. */
  | { readonly name: "securing" }
  /** XCLIENT was taken: this session is over too, and the driver begins another, of another client. */
  | { readonly name: "introducing" }
  | { readonly name: "closed" };

/** What BDAT announced (RFC 3030 §2). */
export interface Chunk {
  /** Octets. */
  readonly size: number;
  readonly last: boolean;
}

/** A chunk of an accepted message; `received` octets came in those before it. */
export interface MessageChunk extends Chunk {
  readonly transaction: Transaction;
  readonly received: number;
}

/** What is said behind the octets of a refused chunk, and what it counts as: see `Tally`. */
export interface Ending {
  readonly as: "fault" | "refusal" | "nothing";
  readonly replies: readonly Reply[];
}

export interface State {
  readonly settings: SessionSettings;
  readonly phase: Phase;
  readonly tally: Tally;
  /** MAIL commands so far, whatever became of them (RFC 9422, MAILMAX). */
  readonly mails: number;
  /** The server goes down: the session ends when no transaction is open. */
  readonly stopping: boolean;
}

/** What only the policy can answer. Each is answered by the decision of the same kind, or by "failed". */
export type Question =
  /** `spoken` is the verb that came and is answered; `hello` may be another client's, by XCLIENT. */
  | { readonly kind: "hello"; readonly hello: Hello; readonly spoken: Hello["verb"] }
  | {
      readonly kind: "sasl";
      readonly mechanism: string;
      readonly response: Uint8Array | null;
      readonly first: boolean;
    }
  | { readonly kind: "mail"; readonly request: MailRequest }
  | { readonly kind: "recipient"; readonly request: RecipientRequest; readonly transaction: Transaction }
  /** `chunk`: asked at BDAT, whose octets follow whatever the answer is. */
  | { readonly kind: "body"; readonly transaction: Transaction; readonly chunk: Chunk | null }
  | { readonly kind: "verify"; readonly argument: string };

export type Decision =
  /** `requireTls` of the first offer; of no meaning on a refusal. */
  | { readonly kind: "connect"; readonly verdict: Verdict; readonly requireTls: boolean }
  | { readonly kind: "hello"; readonly verdict: Verdict; readonly offer: Offer }
  | { readonly kind: "sasl"; readonly verdict: SaslVerdict }
  | { readonly kind: "mail" | "recipient"; readonly verdict: Verdict }
  /** The sink is the driver's; the session never touches it. */
  | { readonly kind: "body"; readonly verdict: BodyVerdict }
  | { readonly kind: "verify"; readonly reply: Reply }
  /** The policy threw; the driver logged it. */
  | { readonly kind: "failed" };

export type LineProblem = CommandProblem | { readonly kind: "tooLong" } | { readonly kind: "bareNewline" };

export type Event =
  /** `followed`: octets of the peer already wait behind this command. */
  | { readonly kind: "command"; readonly command: Command; readonly followed: boolean }
  | { readonly kind: "badLine"; readonly problem: LineProblem }
  /** A line while authenticating. */
  | { readonly kind: "response"; readonly line: Uint8Array }
  | { readonly kind: "decision"; readonly decision: Decision; readonly followed: boolean }
  /** The whole body went to the sink, and this is what the sink said. */
  | { readonly kind: "bodyTaken"; readonly reply: Reply | readonly Reply[] }
  /** All octets of a chunk came, and it was not the last of an accepted message. */
  | { readonly kind: "chunkCame" }
  /** The end of data was seen and the message is not taken. "failed": the sink threw. */
  | { readonly kind: "bodyRefused"; readonly problem: DataProblem | "tooBig" | "failed" }
  /** The end of a refused body did not come within the bounds. */
  | { readonly kind: "bodyEndless" }
  /** Octets came before the greeting. */
  | { readonly kind: "earlyTalk" }
  | { readonly kind: "timeout" }
  /** The policy or a sink did not answer in time. */
  | { readonly kind: "stalled" }
  /** The server goes down. */
  | { readonly kind: "stop" };

export type Action =
  | { readonly kind: "reply"; readonly reply: Reply }
  /** Let the peer wait before the next action (tarpit). */
  | { readonly kind: "delay" }
  | { readonly kind: "ask"; readonly question: Question }
  /** What comes now is a body, at most so many octets. */
  | { readonly kind: "receiveBody"; readonly maxSize: number }
  /** What comes now is a chunk of a body, to the octet; of BODY=BINARYMIME where `binary`. */
  | { readonly kind: "receiveChunk"; readonly chunk: Chunk; readonly binary: boolean; readonly maxSize: number }
  /** So many octets come now that mean nothing. */
  | { readonly kind: "skipChunk"; readonly octets: number }
  /** Flush, and greet the client of whom all this is said. */
  | { readonly kind: "introduce"; readonly attributes: XclientAttributes }
  /** Flush, and run the handshake. */
  | { readonly kind: "startTls" }
  /** Flush, and close. */
  | { readonly kind: "close" };

export interface Step {
  readonly state: State;
  readonly actions: readonly Action[];
}
