import { LRUCache } from "lru-cache";
import { type Clock, type Duration, HOUR, type Instant, later } from "../base/index.ts";
import { systemClock } from "./clock.ts";
import type { ShownCertificates } from "./peer-demand.ts";

export interface TlsSessionsOptions {
  /** The most demands on hosts that sessions are kept for; the least used goes first. */
  readonly max: number;
  /** How long after a full handshake its sessions, and those made by resuming them, can be resumed (default two hours). */
  readonly lifetime?: Duration;
  readonly clock?: Clock;
}

/** A session that was offered by a server, with what the server showed in the full handshake that it comes from. */
export interface KeptSession extends ShownCertificates {
  /** As Node writes it: the ticket and the secret. Never to be logged. */
  readonly session: Buffer;
  /** A ticket of TLS 1.3 is used once, so that connections cannot be linked by it (RFC 8446 Appendix C.4). */
  readonly once: boolean;
  readonly provenAt: Instant;
}

const TWO_HOURS: Duration = 2 * HOUR;

/** Enough for the connections that are opened to one host at a time. */
const MOST_PER_KEY = 8;

/** Sessions of TLS that can be resumed, in memory alone. Made by `createTlsSessions`, used by `upgradeClient`. */
export class TlsSessions {
  readonly #kept: LRUCache<string, readonly KeptSession[]>;
  readonly #lifetime: Duration;
  readonly #clock: Clock;

  constructor({ max, lifetime = TWO_HOURS, clock = systemClock }: TlsSessionsOptions) {
    this.#kept = new LRUCache({ max });
    this.#lifetime = lifetime;
    this.#clock = clock;
  }

  now(): Instant {
    return this.#clock.now();
  }

  /** The newest for this key; one of TLS 1.3 is not given twice. */
  take(key: string): KeptSession | null {
    const known = this.#kept.get(key) ?? [];
    const now = this.#clock.now();
    const standing = known.filter(({ provenAt }) => later(provenAt, this.#lifetime) > now);
    const newest = standing.at(-1) ?? null;
    this.#store(key, newest?.once === true ? standing.slice(0, -1) : standing);
    return newest;
  }

  keep(key: string, session: KeptSession): void {
    this.#store(key, [...(this.#kept.get(key) ?? []), session].slice(-MOST_PER_KEY));
  }

  /** After a handshake that offered one of them and failed. */
  forget(key: string): void {
    this.#kept.delete(key);
  }

  #store(key: string, sessions: readonly KeptSession[]): void {
    if (sessions.length === 0) this.#kept.delete(key);
    else this.#kept.set(key, sessions);
  }
}

/** A cache for the `resume` option of `upgradeClient`, to be shared by all connections of a process. */
export function createTlsSessions(options: TlsSessionsOptions): TlsSessions {
  return new TlsSessions(options);
}
