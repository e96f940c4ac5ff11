import { concatBytes, type Instant } from "../../base/index.ts";
import type { NewMessage, QueuedMessage, Settlement } from "../../queue/index.ts";
import { formatMailbox } from "../../smtp/index.ts";
import type { LinkEnd } from "./link-end.ts";
import { type ReadMessage, readMessage } from "./read-message.ts";

/** What a sender was told of one recipient. "unknown": the connection broke behind the end of data. */
export type Answer = "accepted" | "refused" | "unknown";

/** A message that a program handed in, once. */
export interface Submission {
  /** Stands in the message, and nowhere else. */
  readonly token: string;
  readonly node: string;
  readonly reversePath: string | null;
  readonly recipients: readonly string[];
  readonly requireTls: boolean;
  /**
   * A server of this network ("relay") or of elsewhere ("outsider"), a user who logged in, or somebody at the door for users who did
   * not ("stranger").
   */
  readonly from: "relay" | "outsider" | "user" | "stranger";
  readonly octets: Uint8Array;
  /** By recipient; none while nothing is known. */
  readonly answers: Map<string, Answer>;
}

/** What became of one recipient of a message in a queue. */
export interface CopyRecipient {
  readonly address: string;
  state: "waiting" | "delivered" | "failed";
  settledAt: Instant | null;
  /** The reports that told of its failure, by key. */
  readonly reports: string[];
  /** Its sender wants no word of a failure (NOTIFY), or there is none. */
  readonly unreported: boolean;
}

/** A message in the queue of a node, from the commit that took it. */
export interface Copy {
  /** `node/id`. */
  readonly key: string;
  readonly node: string;
  readonly token: string | null;
  /** The copy it was made from; null for what a sender handed in. */
  readonly parent: string | null;
  readonly reversePath: string | null;
  readonly recipients: readonly CopyRecipient[];
  readonly keptAt: Instant;
  removed: boolean;
}

/** Somebody took a copy on for one recipient, and said so or was about to. */
export interface Take {
  /** The copy that was carried, by key; the token of what a sender handed in. */
  readonly hop: string;
  readonly recipient: string;
  readonly by: string;
  readonly at: Instant;
  /** The copy it became, null at a host where it ends. */
  readonly copy: string | null;
  /** Its side of the connection; null where nobody knows which it was. */
  end: LinkEnd | null;
  /** The end of the reply that says so, in octets of that side. Null while there is none. */
  reply: number | null;
}

/** A message in a mailbox. */
export interface Arrival {
  readonly host: string;
  readonly hop: string;
  readonly token: string | null;
  readonly recipient: string;
  readonly reversePath: string | null;
  readonly octets: Uint8Array;
  readonly read: ReadMessage;
  readonly at: Instant;
}

/** All that was promised and done in a world, as those saw it who cannot be wrong about it: the disks and the far ends. */
export class Ledger {
  readonly submissions = new Map<string, Submission>();
  readonly copies = new Map<string, Copy>();
  readonly takes: Take[] = [];
  readonly arrivals: Arrival[] = [];
  /** When each node went down with what it was doing. */
  readonly crashes: { readonly node: string; readonly at: Instant }[] = [];
  /** What was seen to be wrong while it happened: the invariant, and what broke it. */
  readonly breaches: { readonly invariant: string; readonly text: string }[] = [];
  readonly #nodes: ReadonlyMap<string, string>;
  readonly #now: () => Instant;
  readonly #byId = new Map<string, Take[]>();

  /** `nodes`: their names, by the hostnames in trace fields. */
  constructor(nodes: ReadonlyMap<string, string>, now: () => Instant) {
    this.#nodes = nodes;
    this.#now = now;
  }

  breach(invariant: string, text: string): void {
    this.breaches.push({ invariant, text });
  }

  /** A node has a message on its disk that came over the network. */
  kept(node: string, message: NewMessage, body: readonly Uint8Array[]): Copy {
    const key = `${node}/${message.id}`;
    const { token, hops } = this.#read(concatBytes(body));
    // The first trace field is the node's own.
    const parent = hops[1] ?? null;
    const copy = this.#add(node, message, token, parent);
    const hop = parent ?? token ?? "?";
    const takes = message.recipients.map(({ mailbox }): Take => {
      return { hop, recipient: formatMailbox(mailbox), by: node, at: this.#now(), copy: key, end: null, reply: null };
    });
    this.takes.push(...takes);
    this.#byId.set(key, takes);
    return copy;
  }

  /** A node wrote down what an attempt led to. */
  settled(node: string, before: QueuedMessage, { recipients, report }: Settlement, reported: boolean): void {
    const copy = this.copies.get(`${node}/${before.id}`);
    if (copy === undefined) return;
    const reportKey = report === null || !reported ? null : `${node}/${report.message.id}`;
    if (report !== null && reportKey !== null && !this.copies.has(reportKey)) {
      if (before.reversePath === null)
        this.breach("no bounce for a bounce", `${copy.key} was reported on by ${reportKey}`);
      if (report.message.reversePath !== null) this.breach("no bounce for a bounce", `${reportKey} has a reverse-path`);
      this.#add(node, report.message, this.#read(concatBytes(report.body)).token, copy.key);
    }
    for (const { index, outcome } of recipients) {
      const recipient = copy.recipients[index];
      if (recipient === undefined || recipient.state !== "waiting" || outcome.kind === "deferred") continue;
      recipient.state = outcome.kind;
      recipient.settledAt = this.#now();
      if (outcome.kind === "failed" && reportKey !== null) recipient.reports.push(reportKey);
    }
  }

  removed(node: string, id: string): void {
    const copy = this.copies.get(`${node}/${id}`);
    if (copy !== undefined) copy.removed = true;
  }

  /** A node wrote the reply that says it has the message; `offset`: octets of its side up to the end of that reply. */
  replied(node: string, id: string, end: LinkEnd, offset: number): void {
    for (const take of this.#byId.get(`${node}/${id}`) ?? []) {
      take.end = end;
      take.reply = offset;
    }
  }

  /** A host has a message for `recipient`, and is about to say so. */
  arrived(
    host: string,
    { reversePath, recipient, octets, end }: Pick<Arrival, "reversePath" | "recipient" | "octets"> & Pick<Take, "end">,
  ): Take {
    const at = this.#now();
    const { token, hops, read } = this.#read(octets);
    const hop = hops[0] ?? token ?? "?";
    this.arrivals.push({ host, hop, token, recipient, reversePath, octets, read, at });
    const take: Take = { hop, recipient, by: host, at, copy: null, end, reply: null };
    this.takes.push(take);
    return take;
  }

  /** The token of a message, and the copies it went through, the last one first. */
  #read(octets: Uint8Array): {
    readonly token: string | null;
    readonly hops: readonly string[];
    readonly read: ReadMessage;
  } {
    const read = readMessage(octets);
    const { token, received, messageId } = read;
    const hops = received.map(({ host, id }) => this.#key(host, id));
    // A report has no trace field of the node that wrote it.
    if (messageId !== null && this.#nodes.has(messageId.host)) hops.push(this.#key(messageId.host, messageId.id));
    return { token, hops, read };
  }

  #key(host: string, id: string): string {
    return `${this.#nodes.get(host) ?? host}/${id}`;
  }

  #add(node: string, message: NewMessage, token: string | null, parent: string | null): Copy {
    const key = `${node}/${message.id}`;
    const { reversePath } = message;
    const recipients = message.recipients.map(({ mailbox, parameters: { notify } }): CopyRecipient => {
      const unreported = reversePath === null || (notify !== undefined && !notify.includes("FAILURE"));
      return { address: formatMailbox(mailbox), state: "waiting", settledAt: null, reports: [], unreported };
    });
    const from = reversePath === null ? null : formatMailbox(reversePath);
    if (this.copies.has(key)) this.breach("ids are unique", `${key} was given twice`);
    const copy: Copy = {
      key,
      node,
      token,
      parent,
      reversePath: from,
      recipients,
      keptAt: this.#now(),
      removed: false,
    };
    this.copies.set(key, copy);
    return copy;
  }
}
