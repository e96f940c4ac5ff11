// The port to wherever users are kept: the users file, or a server that is asked (`src/credentials`).
import type { ScramKeys } from "../smtp/index.ts";
import type { SenderGrant } from "./senders.ts";

/** Who is logging in from where; for sources that keep rules or logs of their own. */
export interface LoginContext {
  /** Names the connection in our log. */
  readonly session: string;
  readonly address: string;
  readonly port: number;
  /** Of ours. */
  readonly localAddress: string;
  readonly localPort: number;
}

/** "busy": too many checks wait already, nothing is known. */
export type Verification =
  | { readonly kind: "verified"; readonly identity: string }
  | { readonly kind: "refused" }
  | { readonly kind: "busy" };

/** What SCRAM-SHA-256 needs. For a user that does not exist `identity` is null and no password matches the keys. */
export interface ScramLookup {
  readonly identity: string | null;
  readonly keys: ScramKeys;
}

/** How much a user, or an address, may send; `message_size` is in octets, `sessions` counts those open at once. */
export type SendingLimit =
  | "messages_per_minute"
  | "messages_per_hour"
  | "messages_per_day"
  | "recipients_per_minute"
  | "recipients_per_hour"
  | "recipients_per_day"
  | "new_recipients_per_day"
  | "message_size"
  | "sessions";

/** 0 is no limit. */
export type SendingLimits = Readonly<Record<SendingLimit, number>>;

/** What is kept of somebody who may submit. */
export interface Account {
  /** True: the addresses that the name itself gives (`sendersByName`) come first, before `grants`. */
  readonly byName: boolean;
  readonly grants: readonly SenderGrant[];
  /** Where other limits than those for all are set. */
  readonly limits: Partial<SendingLimits>;
}

/**
 * Where users are known. Identities are in one form (lower case after SASLprep). Every method may throw or reject: then nothing is
 * known now, and the client is told to try later (454, 451).
 */
export interface CredentialSource {
  /** Must take the same work for a user that does not exist, so that the time tells nothing. */
  verify(name: string, password: string, context: LoginContext): Promise<Verification>;
  /** Absent where the source cannot give keys; then no SCRAM is offered. */
  scram?(name: string): ScramLookup | Promise<ScramLookup>;
  /**
   * What is kept of an identity now; null where it may not send any more: removed, disabled, or unknown. Asked at each MAIL, so that
   * a session which is open already notices.
   */
  account(identity: string): Account | null | Promise<Account | null>;
  close(): void;
}
