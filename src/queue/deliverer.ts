import type { Mailbox } from "../smtp/index.ts";
import type { NewMessage, Outcome, QueuedMessage, Recipient, RouteOverride } from "./model.ts";
import type { ReportItem } from "./report-duty.ts";
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
  /**
   * The key under which recipients share a queue, connections and limits: a domain, a smarthost, a local delivery. `override` is the
   * recipient's own next hop, where an operator chose one.
   */
  destination(mailbox: Mailbox, override?: RouteOverride): string;
  /**
   * Tries once. One outcome for each recipient, in order. Resolves for everything that a peer or the network may do; a
   * rejection is a bug or a broken disk, which the runner logs and defers. `signal` aborts what has not yet been committed to.
   */
  deliver(job: DeliveryJob, signal: AbortSignal): Promise<readonly Outcome[]>;
  /** Gives hosts that were found dead another chance now: an operator changed something. */
  resume?(): void;
}

/** Who writes reports; `delivery/bounce` implements it. */
export interface Reporter {
  /** One report that tells of all `items`, at least one, to the reverse-path, which is none of the null ones. */
  report(
    message: QueuedMessage,
    body: Body,
    items: readonly ReportItem[],
  ): Promise<{ readonly message: NewMessage; readonly body: readonly Uint8Array[] }>;
}
