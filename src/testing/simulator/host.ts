import type { HostBurden } from "./host-burden.ts";
import { HostConversation } from "./host-conversation.ts";
import type { Ledger } from "./ledger.ts";
import type { LinkEnd } from "./link-end.ts";
import type { ClearLinkStream } from "./link-stream.ts";
import type { Life, VirtualLoop } from "./loop.ts";
import type { SimulatedCertificate, SimulatedServerTls } from "./tls.ts";

/** Where a host may do something else than what is expected. */
export type HostStage = "connect" | "hello" | "starttls" | "mail" | "rcpt" | "data" | "body" | "end" | "quit";

/** What a host does at a stage: what is expected, after `delay` milliseconds, or something else. */
export type HostMove =
  | { readonly kind: "proceed"; readonly delay: number }
  | { readonly kind: "reply"; readonly delay: number; readonly text: string }
  | { readonly kind: "close" | "hang" };

/** What mail for a domain demands of the connection it comes by. */
export type Demand = "nothing" | "tls" | "proof";

export interface HostOptions {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: "smtp" | "lmtp";
  readonly offers: {
    readonly pipelining: boolean;
    readonly eightBit: boolean;
    readonly chunking: boolean;
    readonly dsn: boolean;
    readonly requireTls: boolean;
    /** RFC 9422, null: not said. */
    readonly rcptMax: number | null;
    readonly mailMax: number | null;
  };
  /** Null: no STARTTLS. */
  readonly tls: SimulatedServerTls | null;
  /** STARTTLS is offered on this connection; whoever stands between may take it away. */
  readonly showsTls: () => boolean;
  readonly proves: (certificate: SimulatedCertificate) => boolean;
  /** Of mail for a domain that comes by `by`. */
  readonly demand: (domain: string, by: LinkEnd) => Demand;
  /** The token of a message that was handed in with REQUIRETLS. */
  readonly requiresTls: (token: string) => boolean;
  /** Says goodbye to who says nothing for so long between messages, milliseconds. */
  readonly patience: number;
  /** Says something that nobody asked for instead, and stays. */
  readonly chatty: boolean;
  readonly move: (stage: HostStage, argument: string) => HostMove;
  readonly burden: HostBurden;
}

/** A mail host of somebody else: its own few lines of SMTP and LMTP, so that it shares no mistake with what is tested. */
export class SimulatedHost {
  readonly options: HostOptions;
  readonly loop: VirtualLoop;
  readonly life: Life;
  readonly ledger: Ledger;

  constructor(parts: {
    readonly options: HostOptions;
    readonly loop: VirtualLoop;
    readonly life: Life;
    readonly ledger: Ledger;
  }) {
    this.options = parts.options;
    this.loop = parts.loop;
    this.life = parts.life;
    this.ledger = parts.ledger;
  }

  serve(stream: ClearLinkStream): void {
    new HostConversation(this, stream, null).start("connect");
  }
}
