import {
  type Clock,
  type Duration,
  type Instant,
  instant,
  later,
  MINUTE,
  type Random,
  SECOND,
  type Timer,
} from "../base/index.ts";
import { type Limit, noLimit } from "../queue/index.ts";

/** What one attempt showed of its host. */
export type HostSight =
  /** It did its work. */
  | { readonly kind: "answered" }
  /** What happened says nothing of it: a policy of ours, a message of ours. */
  | { readonly kind: "nothing" }
  /** A session broke, or it asked for less. */
  | { readonly kind: "trouble" }
  /** No session came about. `text`: why, for people. */
  | { readonly kind: "unreachable"; readonly text: string };

/** The right to use one connection to a host for one message. */
export interface HostSlot {
  readonly limit: Limit;
  /** Gives it back, once. */
  leave(sight: HostSight): void;
}

export type HostTurn =
  | { readonly kind: "slot"; readonly slot: HostSlot }
  /** It was found dead: it is not tried before `until`, or is just being probed. */
  | { readonly kind: "dead"; readonly until: Instant; readonly text: string }
  /** It has no room, or its rate is used up: the next turn is about then. */
  | { readonly kind: "busy"; readonly until: Instant };

/**
 * What hosts are burdened with, whatever domains lead to them: how many connections at a time (more after each success, half after
 * trouble), how many messages a minute, and who is dead. Names are lower-case A-labels or IP addresses.
 */
export interface HostLoads {
  /** Asks for a slot before a connection is made or used. Waits for a few seconds at most. */
  enter(host: string, port: number, signal: AbortSignal): HostTurn | Promise<HostTurn>;
  /** Gives dead hosts another chance now. */
  resume(): void;
  /** Asks `limitOf` anew for every host. Connections beyond a smaller limit end, and no more begin until there is room. */
  renewLimits(): void;
}

/** Read each time that one counts. */
export interface HostLoadsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** By the host's name; default: what is learned. */
  readonly limitOf?: (host: string) => Limit;
  /** How long a host is left alone that was found dead; each further time in a row twice as long. Default 4 minutes. */
  readonly first?: Duration;
  /** No longer than this. Default 12 minutes. */
  readonly longest?: Duration;
}

/** Connections to a host of which nothing is known, and what that may grow to. */
const START = 20;
const MOST = 50;
/** How long an attempt waits for its turn, with a slot of the runner in its hands. */
const PATIENCE = 5 * SECOND;
/** How many do; the others come again. */
const MOST_WAITING = 10;
/** When those without a turn come again. */
const PAUSE = 10 * SECOND;
/** While a host answered so short a time ago, one that is not let in says only that it is full. */
const FRESH = MINUTE;
/** How far chance shortens a wait. */
const SPREAD = 0.2;
/** Hosts remembered; beyond it the oldest without a connection is forgotten. */
const MOST_HOSTS = 10_000;

export function createHostLoads(options: HostLoadsOptions): HostLoads {
  return new KnownHostLoads(options);
}

interface Waiting {
  readonly resolve: (turn: HostTurn) => void;
  readonly timer: Timer;
}

interface Host {
  limit: Limit;
  most: number;
  /** Between two messages. */
  interval: Duration;
  window: number;
  running: number;
  /** Its rate allows the next message then. */
  notBefore: number;
  /** Times in a row that it was found dead. */
  deaths: number;
  deadUntil: Instant;
  cause: string;
  answeredAt: number;
  readonly waiting: Set<Waiting>;
  timer: Timer | null;
}

class KnownHostLoads implements HostLoads {
  readonly #options: HostLoadsOptions;
  readonly #hosts = new Map<string, Host>();

  constructor(options: HostLoadsOptions) {
    this.#options = options;
  }

  enter(name: string, port: number, signal: AbortSignal): HostTurn | Promise<HostTurn> {
    const host = this.#of(name, port);
    const now = this.#options.clock.now();
    const dead = this.#dead(host, now);
    if (dead !== null) return dead;
    const turn = this.#grant(host, now);
    if (turn !== null) return turn;
    const wait = host.notBefore - now;
    if (host.waiting.size >= MOST_WAITING || wait > PATIENCE || signal.aborted) return this.#busy(host, now);
    return this.#wait(host, signal);
  }

  resume(): void {
    for (const host of this.#hosts.values()) {
      host.deadUntil = instant(0);
      host.deaths = 0;
    }
  }

  renewLimits(): void {
    const now = this.#options.clock.now();
    for (const [key, host] of this.#hosts) {
      Object.assign(host, this.#burdenOf(key.slice(0, key.lastIndexOf(" "))));
      host.window = Math.min(host.window, host.most);
      host.notBefore = Math.min(host.notBefore, now + host.interval);
    }
  }

  /** Null unless it is to be left alone. After its time one attempt probes it, and the others pass by until that has ended. */
  #dead(host: Host, now: Instant): HostTurn | null {
    if (host.deaths === 0 || (host.deadUntil <= now && host.running === 0)) return null;
    // Nobody knows how long the probe takes that is under way.
    const until = instant(host.deadUntil > now ? host.deadUntil : now + PAUSE);
    return { kind: "dead", until, text: host.cause };
  }

  #grant(host: Host, now: Instant): HostTurn | null {
    if (host.running >= host.window || host.notBefore > now) return null;
    host.running++;
    if (host.interval > 0) host.notBefore = now + host.interval;
    let left = false;
    const slot: HostSlot = {
      limit: host.limit,
      leave: (sight) => {
        if (left) return;
        left = true;
        host.running--;
        this.#learn(host, sight);
        this.#serve(host);
      },
    };
    return { kind: "slot", slot };
  }

  #busy(host: Host, now: Instant): HostTurn {
    const pause = PAUSE * (1 + SPREAD * this.#options.random.next());
    return { kind: "busy", until: instant(Math.round(Math.max(host.notBefore, now + pause))) };
  }

  #wait(host: Host, signal: AbortSignal): Promise<HostTurn> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const end = (turn: HostTurn): void => {
        waiting.timer.cancel();
        host.waiting.delete(waiting);
        signal.removeEventListener("abort", giveUp);
        resolve(turn);
      };
      const giveUp = (): void => end(this.#busy(host, clock.now()));
      const waiting: Waiting = { resolve: end, timer: clock.after(PATIENCE, giveUp) };
      host.waiting.add(waiting);
      signal.addEventListener("abort", giveUp);
      this.#serve(host);
    });
  }

  /** Gives those who wait their turns, first come first served, and plans to come again where only its rate stands against it. */
  #serve(host: Host): void {
    const { clock } = this.#options;
    for (const { resolve } of host.waiting) {
      const now = clock.now();
      const turn = this.#dead(host, now) ?? this.#grant(host, now);
      if (turn === null) break;
      resolve(turn);
    }
    if (host.waiting.size === 0 || host.running >= host.window || host.timer !== null) return;
    host.timer = clock.after(Math.max(0, host.notBefore - clock.now()), () => {
      host.timer = null;
      this.#serve(host);
    });
  }

  #learn(host: Host, sight: HostSight): void {
    const now = this.#options.clock.now();
    switch (sight.kind) {
      case "nothing":
        return;
      case "answered":
        host.deaths = 0;
        host.answeredAt = now;
        host.window = Math.min(host.window + 1, host.most);
        return;
      case "trouble":
        host.window = Math.max(1, Math.floor(host.window / 2));
        return;
      case "unreachable": {
        // Others were served just now: it may only be full. One at a time and still not let in is the end of that.
        const isFull = host.deaths === 0 && host.window > 1 && now - host.answeredAt < FRESH;
        host.window = Math.max(1, Math.floor(host.window / 2));
        if (!isFull) this.#bury(host, sight.text, now);
      }
    }
  }

  #bury(host: Host, text: string, now: Instant): void {
    // Those who began together found out the same thing; that is one time, not many.
    if (host.deadUntil > now) return;
    const { first = 4 * MINUTE, longest = 12 * MINUTE, random } = this.#options;
    const wait = Math.min(first * 2 ** host.deaths, Math.max(first, longest));
    host.deaths++;
    host.window = 1;
    host.cause = text;
    host.deadUntil = later(now, Math.round(wait * (1 - SPREAD * random.next())));
  }

  #of(name: string, port: number): Host {
    const key = `${name} ${port}`;
    const known = this.#hosts.get(key);
    if (known !== undefined) return known;
    const burden = this.#burdenOf(name);
    const host: Host = {
      ...burden,
      window: Math.min(START, burden.most),
      running: 0,
      notBefore: 0,
      deaths: 0,
      deadUntil: instant(0),
      cause: "",
      answeredAt: Number.NEGATIVE_INFINITY,
      waiting: new Set(),
      timer: null,
    };
    this.#hosts.set(key, host);
    if (this.#hosts.size > MOST_HOSTS) this.#forgetOne();
    return host;
  }

  #burdenOf(name: string): Pick<Host, "limit" | "most" | "interval"> {
    const limit = this.#options.limitOf?.(name) ?? noLimit;
    return {
      limit,
      most: limit.connections ?? MOST,
      interval: limit.messagesPerMinute === null ? 0 : MINUTE / limit.messagesPerMinute,
    };
  }

  #forgetOne(): void {
    for (const [key, host] of this.#hosts) {
      if (host.running > 0 || host.waiting.size > 0) continue;
      this.#hosts.delete(key);
      return;
    }
  }
}
