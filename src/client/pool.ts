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

/** What counts as a connection of a host. */
interface HostConnections {
  readonly open: Set<ClientSession>;
  /** Connections that are just being made. */
  opening: number;
  /** Those, and who still waits for a place. */
  wanted: number;
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
  /** Hosts whose connections are limited. */
  readonly #byHost = new Map<string, HostConnections>();
  /** Sessions that said QUIT, until their servers let go of them. */
  readonly #leaving = new Map<ClientSession, Promise<void>>();
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
    const opened = host === null ? await open() : await this.#openAt(host, open);
    if (!opened.ok) return opened;
    const session = opened.value;
    session.onClose(() => this.#remove(session));
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

  async #openAt(
    { name, connections }: NonNullable<LeaseOptions["host"]>,
    open: () => Promise<Result<ClientSession, ClientProblem>>,
  ): Promise<Result<ClientSession, ClientProblem>> {
    const host = this.#byHost.get(name) ?? { open: new Set(), opening: 0, wanted: 0 };
    this.#byHost.set(name, host);
    host.wanted++;
    await this.#takePlace(host, connections);
    try {
      const opened = await open();
      if (opened.ok) {
        host.open.add(opened.value);
        opened.value.onClose(() => this.#gone(name, host, opened.value));
      }
      return opened;
    } finally {
      host.opening--;
      host.wanted--;
      this.#forget(name, host);
    }
  }

  /**
   * Waits for goodbyes that were said, and ends idle sessions, those idle longest first, until one more connection is within the limit.
   * It counts from then on.
   */
  async #takePlace(host: HostConnections, connections: number): Promise<void> {
    while (host.open.size + host.opening >= connections) {
      const open = [...host.open];
      const leaving = open.map((session) => this.#leaving.get(session)).find((gone) => gone !== undefined);
      const idle = open.find((session) => this.#entries.has(session));
      if (leaving !== undefined) await leaving;
      else if (idle !== undefined) await this.#retire(idle);
      else break;
    }
    host.opening++;
  }

  #gone(name: string, host: HostConnections, session: ClientSession): void {
    host.open.delete(session);
    this.#forget(name, host);
  }

  #forget(name: string, host: HostConnections): void {
    if (host.open.size + host.wanted === 0 && this.#byHost.get(name) === host) this.#byHost.delete(name);
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
      void this.#quit(session);
      return;
    }
    const timer = this.#clock.after(this.#idleTimeout, () => void this.#retire(session));
    const entry: Idle = { key, session, timer };
    if (peers === undefined) this.#byKey.set(key, [entry]);
    else peers.push(entry);
    this.#entries.set(session, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#maxIdle && oldest !== undefined) void this.#retire(oldest);
  }

  #retire(session: ClientSession): Promise<void> {
    this.#remove(session);
    return this.#quit(session);
  }

  #quit(session: ClientSession): Promise<void> {
    const gone = session.quit().finally(() => this.#leaving.delete(session));
    this.#leaving.set(session, gone);
    return gone;
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
