import type { Mailbox } from "../smtp/index.ts";
import type { NewMessage, Outcome, QueuedMessage, Recipient } from "./model.ts";
import type { Body } from "./store.ts";

/** Some recipients of one message that share a destination, to be tried once. */
export interface DeliveryJob {
  readonly message: QueuedMessage;
  readonly recipients: readonly Recipient[];
  readonly destination: string;
  readonly body: Body;
}

/** Who carries mail away; `delivery` implements it. */
export interface Deliverer {
  /** The key under which recipients share a queue, connections and limits: a domain, a smarthost, a local delivery. */
  destination(mailbox: Mailbox): string;
  /**
   * Tries once. One outcome for each recipient, in order. Resolves for everything that a peer or the network may do; a
   * rejection is a bug or a broken disk, which the runner logs and defers. `signal` aborts what has not yet been committed to.
   */
  deliver(job: DeliveryJob, signal: AbortSignal): Promise<readonly Outcome[]>;
}

/** Who writes reports; `delivery/bounce` implements it. */
export interface Reporter {
  /** The report for `failed`, or null where none may be sent (null reverse-path, NOTIFY=NEVER). */
  report(
    message: QueuedMessage,
    body: Body,
    failed: readonly { readonly recipient: Recipient; readonly outcome: Outcome }[],
  ): Promise<{ readonly message: NewMessage; readonly body: readonly Uint8Array[] } | null>;
}
