import { type Duration, MINUTE } from "../../base/index.ts";
import type { HostLimit } from "./configuration.ts";
import type { Ledger } from "./ledger.ts";
import type { LinkEnd } from "./link-end.ts";

/** While a host was slow, what was begun evenly may come all at once. */
const CALM_FOR: Duration = 45 * MINUTE;

/** What one host is burdened with, held against the `[[limit]]` of each node, as the host sees it. */
export class HostBurden {
  readonly #name: string;
  readonly #ledger: Ledger;
  readonly #limitOf: (address: string) => HostLimit | null;
  /** How long all has been calm, milliseconds; negative before. */
  readonly #calmFor: () => number;
  /** Connections that mail has come by, by who connected. */
  readonly #open = new Map<string, Set<LinkEnd>>();
  /** When transactions began in the last minute. */
  readonly #begun = new Map<string, number[]>();

  constructor(parts: {
    readonly name: string;
    readonly ledger: Ledger;
    /** That of the node at an address, for this host. */
    readonly limitOf: (address: string) => HostLimit | null;
    readonly calmFor: () => number;
  }) {
    this.#name = parts.name;
    this.#ledger = parts.ledger;
    this.#limitOf = parts.limitOf;
    this.#calmFor = parts.calmFor;
  }

  /** It is told QUIT. */
  leaving(end: LinkEnd): void {
    this.#open.get(end.peer.address)?.delete(end);
  }

  /** A connection has brought so many different messages. One with many recipients may take several transactions. */
  took(end: LinkEnd, count: number): void {
    const most = this.#limitOf(end.peer.address)?.messagesPerConnection ?? null;
    if (most !== null && count > most) {
      this.#breach(end, `${count} messages in one connection where the limit is ${most}`);
    }
  }

  /** A transaction begins. */
  begun(end: LinkEnd): void {
    const limit = this.#limitOf(end.peer.address);
    if (limit?.connections != null) this.#count(end, limit.connections);
    if (limit?.messagesPerMinute != null) this.#time(end, limit.messagesPerMinute);
  }

  /** Those that bring mail: one that came to nothing, and is being said goodbye to, may still be there beside its successor. */
  #count(end: LinkEnd, most: number): void {
    const ends = this.#open.get(end.peer.address) ?? new Set<LinkEnd>();
    this.#open.set(end.peer.address, ends.add(end));
    for (const each of ends) if (each.gone || each.other.gone) ends.delete(each);
    if (ends.size > most) this.#breach(end, `${ends.size} connections where the limit is ${most}`);
  }

  #time(end: LinkEnd, most: number): void {
    const calmFor = this.#calmFor();
    if (calmFor < CALM_FOR) return;
    const times = (this.#begun.get(end.peer.address) ?? []).filter((at) => at > calmFor - MINUTE);
    times.push(calmFor);
    this.#begun.set(end.peer.address, times);
    // One at each end of the minute, and one more where the way there took its time.
    if (times.length > most + 2) this.#breach(end, `${times.length} messages in a minute where the limit is ${most}`);
  }

  #breach({ peer }: LinkEnd, text: string): void {
    this.#ledger.breach("limits for hosts are kept", `${this.#name} from ${peer.address}: ${text}`);
  }
}
