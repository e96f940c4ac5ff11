import { assert, type Clock, ok, type Result, SECOND, type Timer } from "../base/index.ts";
import { systemClock } from "../net/index.ts";
import { mayBegin } from "./batch.ts";
import type { ClientProblem, ClientSession, RecipientResult } from "./types.ts";

export interface PoolOptions {
  /** Idle sessions kept for one key; more are closed. Default 10. */
  readonly maxIdlePerKey?: number;
  /** Idle sessions kept in all; the one idle longest goes first. Default 200. */
  readonly maxIdle?: number;
  /** Milliseconds an idle session is kept before QUIT. Default 30 s, well below the 5 minutes of RFC 5321 §4.5.3.2.7. */
  readonly idleTimeout?: number;
  /** Transactions of one session before it is closed for a new one. Default 100; servers cut off long runs. */
  readonly maxTransactions?: number;
  readonly clock?: Clock;
}

export interface LeaseOptions {
  /** Passes idle sessions over. */
  readonly fresh?: boolean;
  /** As `PoolOptions`, for this session, where it is fewer. */
  readonly maxTransactions?: number | null;
  /**
   * The host, where only so many connections may be open to it, whatever their keys: an idle one of another key makes place for a
   * new one. Those on lease are the caller's to count.
   */
  readonly host?: { readonly name: string; readonly connections: number } | null;
}

/** Open sessions, kept for the next message to the same place. */
export interface Pool {
  /**
   * A session for `key`: an idle one, or what `open` gives. Two messages share a session only by sharing a key, so the key has
   * to hold all that was demanded of the connection: host, port, TLS rule, credentials. `fresh` passes idle ones over, for a
   * second try after a reused one proved dead.
   */
  lease(
    key: string,
    open: () => Promise<Result<ClientSession, ClientProblem>>,
    options?: LeaseOptions,
  ): Promise<Result<Lease, ClientProblem>>;
  /** Idle sessions held. */
  readonly idle: number;
  /** QUITs all idle sessions; those on lease are closed when released. Resolves when the idle ones are gone. */
  close(): Promise<void>;
}

/** One session in one hand. */
export interface Lease {
  readonly session: ClientSession;
  /** It was idle before. Ask `wasDead` after its first transaction: then try again at once with a fresh one. */
  readonly reused: boolean;
  /** Gives it back; kept when still usable, else dropped. Once only. */
  release(): void;
}

/**
 * True when a session was gone, or on its way out, before the server answered the first command: nothing of the message was taken
 * and none of its body was read. On a reused session that says nothing about the server or the message.
 */
export function wasDead(results: readonly RecipientResult[]): boolean {
  return results.length > 0 && results.every(beforeFirstReply);
}

function beforeFirstReply(result: RecipientResult): boolean {
  if (result.kind === "refused") return result.stage === "mail" && result.reply.code === 421;
  if (result.kind !== "broken" || result.uncertain) return false;
  const { problem } = result;
  // A refused or mute RSET spoils the session just the same.
  if (problem.kind === "refused" || problem.kind === "timeout") return problem.stage === "reset";
  const gone = problem.kind === "closed" || (problem.kind === "network" && problem.problem.kind !== "aborted");
  return gone && (problem.stage === "mail" || problem.stage === "reset");
}

export function createPool(options: PoolOptions = {}): Pool {
  return new SessionPool(options);
}

interface Idle {
  readonly key: string;
  readonly session: ClientSession;
  readonly timer: Timer;
}

/** A session on lease. */
interface Lent {
  readonly key: string;
  readonly session: ClientSession;
  readonly maxTransactions: number;
}

class SessionPool implements Pool {
  readonly #maxIdlePerKey: number;
  readonly #maxIdle: number;
  readonly #idleTimeout: number;
  readonly #maxTransactions: number;
  readonly #clock: Clock;
  /** In order of becoming idle, for each key. A `Map`: keys hold names from mail addresses. */
  readonly #byKey = new Map<string, Idle[]>();
  /** All of them, the longest idle first. */
  readonly #entries = new Map<ClientSession, Idle>();
  /** Open sessions of hosts whose connections are limited. */
  readonly #byHost = new Map<string, Set<ClientSession>>();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#maxIdlePerKey = options.maxIdlePerKey ?? 10;
    this.#maxIdle = options.maxIdle ?? 200;
    this.#idleTimeout = options.idleTimeout ?? 30 * SECOND;
    this.#maxTransactions = options.maxTransactions ?? 100;
    this.#clock = options.clock ?? systemClock;
  }

  get idle(): number {
    return this.#entries.size;
  }

  async lease(
    key: string,
    open: () => Promise<Result<ClientSession, ClientProblem>>,
    { fresh = false, maxTransactions = null, host = null }: LeaseOptions = {},
  ): Promise<Result<Lease, ClientProblem>> {
    const most = Math.min(maxTransactions ?? this.#maxTransactions, this.#maxTransactions);
    const kept = fresh ? null : this.#take(key);
    if (kept !== null) return ok(this.#lend({ key, session: kept, maxTransactions: most }, true));
    if (host !== null) await this.#makePlace(host.name, host.connections);
    const opened = await open();
    if (!opened.ok) return opened;
    const session = opened.value;
    session.onClose(() => this.#remove(session));
    if (host !== null) this.#note(host.name, session);
    return ok(this.#lend({ key, session, maxTransactions: most }, false));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const idle = [...this.#entries.keys()];
    for (const session of idle) this.#remove(session);
    await Promise.all(idle.map((session) => session.quit()));
  }

  /** The session used last: the least likely to have been given up by its server. */
  #take(key: string): ClientSession | null {
    for (;;) {
      const session = this.#byKey.get(key)?.at(-1)?.session;
      if (session === undefined) return null;
      this.#remove(session);
      if (session.usable) return session;
    }
  }

  /** Ends idle sessions to the host, those idle longest first, until one more connection is within the limit. */
  async #makePlace(host: string, connections: number): Promise<void> {
    const open = this.#byHost.get(host);
    if (open === undefined) return;
    for (const session of [...open]) {
      if (open.size < connections) return;
      if (!this.#entries.has(session)) continue;
      this.#remove(session);
      await session.quit();
    }
  }

  #note(host: string, session: ClientSession): void {
    const open = this.#byHost.get(host) ?? new Set();
    this.#byHost.set(host, open.add(session));
    session.onClose(() => {
      open.delete(session);
      if (open.size === 0 && this.#byHost.get(host) === open) this.#byHost.delete(host);
    });
  }

  #lend(lent: Lent, reused: boolean): Lease {
    let released = false;
    return {
      session: lent.session,
      reused,
      release: () => {
        assert(!released, "a lease is released once");
        released = true;
        this.#giveBack(lent);
      },
    };
  }

  #giveBack({ key, session, maxTransactions }: Lent): void {
    if (!session.usable) {
      session.destroy();
      return;
    }
    const peers = this.#byKey.get(key);
    const worn = session.transactions >= maxTransactions || !mayBegin(session);
    if (this.#closed || worn || (peers?.length ?? 0) >= this.#maxIdlePerKey) {
      void session.quit();
      return;
    }
    const timer = this.#clock.after(this.#idleTimeout, () => this.#retire(session));
    const entry: Idle = { key, session, timer };
    if (peers === undefined) this.#byKey.set(key, [entry]);
    else peers.push(entry);
    this.#entries.set(session, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#maxIdle && oldest !== undefined) this.#retire(oldest);
  }

  #retire(session: ClientSession): void {
    this.#remove(session);
    void session.quit();
  }

  #remove(session: ClientSession): void {
    const entry = this.#entries.get(session);
    if (entry === undefined) return;
    this.#entries.delete(session);
    entry.timer.cancel();
    const peers = this.#byKey.get(entry.key);
    if (peers === undefined) return;
    peers.splice(peers.indexOf(entry), 1);
    if (peers.length === 0) this.#byKey.delete(entry.key);
  }
}
