import { type Clock, type Duration, HOUR, type Instant, later, MINUTE, SECOND } from "../base/index.ts";
import { networkOf } from "./client-network.ts";

/** How failures of AUTH are counted and slowed. */
export interface AuthThrottleRules {
  /** The least time that a failed AUTH takes; doubled by each further failure. Also hides what made it fail. */
  readonly firstDelay: Duration;
  readonly longestDelay: Duration;
  /** Failures of one address (IPv4 address, IPv6 /64) after which nothing of it is checked. */
  readonly perAddress: number;
  /** Failures of one account after which only addresses it was used from before are checked. */
  readonly perAccount: number;
  /** A count without a further failure is forgotten after this long. */
  readonly memory: Duration;
  /** Addresses and accounts that are remembered; the one unused the longest is forgotten first. */
  readonly entries: number;
}

const DEFAULT_RULES: AuthThrottleRules = {
  firstDelay: SECOND / 4,
  longestDelay: 16 * SECOND,
  perAddress: 20,
  perAccount: 50,
  memory: 15 * MINUTE,
  entries: 10_000,
};

/**
 * What each of `workers` processes has to count to, so that a guesser whose connections are handed to all of them gets no more tries
 * than at one.
 */
export function dividedThrottle(workers: number): Pick<AuthThrottleRules, "perAddress" | "perAccount"> {
  const { perAddress, perAccount } = DEFAULT_RULES;
  return { perAddress: Math.ceil(perAddress / workers), perAccount: Math.ceil(perAccount / workers) };
}

/** How long an address counts as one that an account was used from. */
const FAMILIAR_FOR = 24 * HOUR;

interface Keys {
  readonly address: string;
  readonly account: string | null;
  /** Set where the account was used from the address lately. */
  readonly pair: string | null;
}

interface Count {
  readonly failures: number;
  readonly until: Instant;
}

/**
 * Slows guessing of passwords. A failure counts against the address and against the account it tried, and both have a
 * limit, so that neither one host with many names nor many hosts with one name get far.
 *
 * An address that an account was used from lately has a count of its own for that account alone: nobody can lock out a user
 * by guessing in his name, nor a whole office by guessing from it; and a success never clears the count of an address, or
 * a guesser with an account of his own could go on for ever.
 */
export class AuthThrottle {
  readonly #clock: Clock;
  readonly #rules: AuthThrottleRules;
  /** Keys are text of peers, hence a `Map`; in order of use. */
  readonly #counts = new Map<string, Count>();
  readonly #familiar = new Map<string, Instant>();

  constructor(clock: Clock, rules: Partial<AuthThrottleRules> = {}) {
    this.#clock = clock;
    this.#rules = { ...DEFAULT_RULES, ...rules };
  }

  /** False where nothing may be checked now. `account` is the name tried, in its one form; null where it can be none. */
  allows(address: string, account: string | null): boolean {
    const keys = this.#keys(address, account);
    if (keys.pair !== null) return this.#failures(keys.pair) < this.#rules.perAddress;
    if (this.#failures(keys.address) >= this.#rules.perAddress) return false;
    return keys.account === null || this.#failures(keys.account) < this.#rules.perAccount;
  }

  /** Counts a failure; returns how long the whole of it has to take. */
  failed(address: string, account: string | null): Duration {
    const keys = this.#keys(address, account);
    const counted = keys.pair === null ? [keys.address, keys.account] : [keys.pair];
    const failures = counted.map((key) => (key === null ? 0 : this.#count(key)));
    const doublings = Math.min(Math.max(...failures) - 1, 30);
    return Math.min(this.#rules.firstDelay * 2 ** doublings, this.#rules.longestDelay);
  }

  /** The right password: this address is one that the account is used from. */
  succeeded(address: string, account: string): void {
    const pair = pairKey(address, account);
    this.#counts.delete(pair);
    this.#put(this.#familiar, pair, later(this.#clock.now(), FAMILIAR_FOR));
  }

  /** Resolves `duration` after `since`, at once where that has passed. */
  async wait(since: Instant, duration: Duration): Promise<void> {
    const rest = since + duration - this.#clock.now();
    if (rest > 0) await new Promise<void>((resolve) => this.#clock.after(rest, resolve));
  }

  #keys(address: string, account: string | null): Keys {
    const pair = account === null ? null : pairKey(address, account);
    const until = pair === null ? undefined : this.#familiar.get(pair);
    const familiar = until !== undefined && this.#clock.now() < until;
    return {
      address: `address ${networkOf(address)}`,
      account: account === null ? null : `account ${account}`,
      pair: familiar ? pair : null,
    };
  }

  #failures(key: string): number {
    const count = this.#counts.get(key);
    return count === undefined || this.#clock.now() >= count.until ? 0 : count.failures;
  }

  #count(key: string): number {
    const failures = this.#failures(key) + 1;
    this.#put(this.#counts, key, { failures, until: later(this.#clock.now(), this.#rules.memory) });
    return failures;
  }

  #put<T>(map: Map<string, T>, key: string, value: T): void {
    map.delete(key);
    map.set(key, value);
    if (map.size <= this.#rules.entries) return;
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }
}

function pairKey(address: string, account: string): string {
  return `pair ${networkOf(address)} ${account}`;
}
