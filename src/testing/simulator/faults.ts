import { HOUR, MINUTE, SECOND } from "../../base/index.ts";
import type { Chance } from "./chance.ts";
import type { DiskFate } from "./disk.ts";
import type { HostMove, HostStage } from "./host.ts";
import type { Cut, LinkConditions } from "./link.ts";
import type { ConnectFate, Weather } from "./network.ts";
import type { FetchFate } from "./policy-hosts.ts";
import type { LookupFate } from "./zone.ts";

/** How often what goes wrong in a world, as parts of all cases (0 to 1) or as counts for each machine. */
export interface FaultRates {
  /** Connections that break at some octet. */
  readonly cuts: number;
  readonly refused: number;
  readonly silent: number;
  readonly slowLinks: number;
  /** Writes that come late while those of other connections pass by. */
  readonly stalls: number;
  readonly lookups: number;
  /** Of MTA-STS policies. */
  readonly policyFetches: number;
  /** At each stage of a conversation with a host of somebody else. */
  readonly temporaryReplies: number;
  readonly permanentReplies: number;
  readonly hangs: number;
  readonly closes: number;
  readonly slowReplies: number;
  readonly strippedTls: number;
  readonly wrongCertificates: number;
  readonly brokenHandshakes: number;
  readonly failedSyncs: number;
  readonly fullDisks: number;
  readonly slowSyncs: number;
  readonly crashes: number;
  /** Power cuts in the middle of a commit or right behind it, as parts of all commits. */
  readonly crashesAtCommit: number;
  readonly stops: number;
  readonly outages: number;
  readonly clockJumps: number;
  readonly operations: number;
  readonly reloads: number;
}

/** Each kind of fault is in about a third of all worlds. */
export function drawRates(chance: Chance): FaultRates {
  const rate = (most: number): number => (chance.is(0.35) ? chance.between(0, most) : 0);
  const count = (most: number): number => (chance.is(0.4) ? chance.whole(1, most) : 0);
  return {
    cuts: rate(0.4),
    refused: rate(0.2),
    silent: rate(0.1),
    slowLinks: rate(0.2),
    stalls: rate(0.2),
    lookups: rate(0.2),
    policyFetches: rate(0.6),
    temporaryReplies: rate(0.15),
    permanentReplies: rate(0.05),
    hangs: rate(0.03),
    closes: rate(0.05),
    slowReplies: rate(0.2),
    strippedTls: rate(0.4),
    wrongCertificates: rate(0.4),
    brokenHandshakes: rate(0.2),
    failedSyncs: rate(0.1),
    fullDisks: rate(0.1),
    slowSyncs: rate(0.1),
    crashes: count(3),
    crashesAtCommit: rate(0.03),
    stops: count(2),
    outages: count(3),
    clockJumps: count(2),
    operations: count(10),
    reloads: count(3),
  };
}

const GREYLIST_FOR = 4 * MINUTE;

/** Decides, question by question, what goes wrong; from `calmAt` on nothing does. */
export class Faults implements Weather {
  readonly rates: FaultRates;
  readonly #chance: Chance;
  readonly #now: () => number;
  readonly #calmAt: number;
  /** Machines that cannot be reached, until when. */
  readonly #outages = new Map<string, number>();
  /** When greylisting hosts first saw a mailbox. */
  readonly #greylist = new Map<string, number>();
  readonly #tally = new Map<string, number>();

  constructor(parts: {
    readonly rates: FaultRates;
    readonly chance: Chance;
    readonly now: () => number;
    readonly calmAt: number;
  }) {
    this.rates = parts.rates;
    this.#chance = parts.chance;
    this.#now = parts.now;
    this.#calmAt = parts.calmAt;
  }

  get calm(): boolean {
    return this.#now() >= this.#calmAt;
  }

  /** It happens, at the rate of its kind, while anything does; and is counted. */
  strikes(kind: keyof FaultRates): boolean {
    const strikes = this.#isDrawn(kind);
    if (strikes) this.count(kind);
    return strikes;
  }

  #isDrawn(kind: keyof FaultRates): boolean {
    const rate = this.rates[kind];
    return !this.calm && rate > 0 && this.#chance.is(rate);
  }

  /** Something went wrong. */
  count(kind: string): void {
    this.#tally.set(kind, (this.#tally.get(kind) ?? 0) + 1);
  }

  /** How often what went wrong. */
  get tally(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#tally);
  }

  takeOut(address: string, until: number): void {
    this.count("outages");
    this.#outages.set(address, until);
  }

  fate(from: string, { address }: { readonly address: string }): ConnectFate {
    if (this.calm) return "connected";
    const now = this.#now();
    if ((this.#outages.get(address) ?? 0) > now || (this.#outages.get(from) ?? 0) > now) return "silence";
    if (this.strikes("silent")) return "silence";
    if (this.strikes("refused")) return this.#chance.pick(["refused", "unreachable"]);
    return "connected";
  }

  conditions(): LinkConditions {
    const chance = this.#chance;
    const delay = chance.whole(1, 40);
    if (this.calm) return { delay, jitter: 0, stalls: 0, pieces: 0.1, rate: 10_000, cut: null };
    const slow = this.strikes("slowLinks");
    return {
      delay: slow ? chance.whole(200, 3000) : delay,
      jitter: chance.is(0.5) ? chance.whole(0, 20) : 0,
      stalls: this.rates.stalls,
      pieces: chance.is(0.3) ? chance.between(0, 1) : 0,
      rate: slow ? chance.between(0.5, 5) : 10_000,
      cut: this.#isDrawn("cuts") ? this.#cut() : null,
    };
  }

  lookup(): LookupFate {
    const failure = this.strikes("lookups") ? this.#chance.pick(["servfail", "timeout"] as const) : null;
    return { delay: failure === "timeout" ? 5 * SECOND : this.#chance.whole(0, 30), failure };
  }

  /** An MTA-STS policy, from its host. */
  policyFetch(): FetchFate {
    const failed = this.strikes("policyFetches");
    return { delay: failed && this.#chance.is(0.5) ? MINUTE : this.#chance.whole(5, 200), failed };
  }

  disk(writes: boolean): DiskFate {
    const slow = this.strikes("slowSyncs");
    return {
      delay: slow ? this.#chance.between(50, 20_000) : writes ? this.#chance.between(1, 8) : 0.2,
      failed: this.strikes("failedSyncs"),
      full: this.strikes("fullDisks"),
    };
  }

  /** What a host does at a stage. `greylisting`: it turns each mailbox away until it comes back. */
  host(stage: HostStage, argument: string, greylisting: boolean): HostMove {
    if (this.calm) return { kind: "proceed", delay: 0 };
    const delay = this.strikes("slowReplies") ? this.#chance.whole(10, this.#chance.is(0.1) ? 15 * MINUTE : 20_000) : 0;
    if (this.strikes("hangs")) return { kind: "hang" };
    if (this.strikes("closes")) return { kind: "close" };
    if (this.strikes("temporaryReplies")) return { kind: "reply", delay, text: this.#temporary(stage) };
    if (stage !== "connect" && stage !== "hello" && this.strikes("permanentReplies")) {
      return { kind: "reply", delay, text: stage === "quit" ? "250 2.0.0 Hm" : "554 5.7.1 Not that" };
    }
    if (greylisting && stage === "rcpt" && this.#isGrey(argument)) {
      this.count("greylisted");
      return { kind: "reply", delay, text: "450 4.2.0 Come back later" };
    }
    return { kind: "proceed", delay };
  }

  /** How a handshake goes. */
  handshake(): "proper" | "mute" | "hangUp" | "classical" {
    if (!this.strikes("brokenHandshakes")) return "proper";
    return this.#chance.pick(["mute", "hangUp", "classical"] as const);
  }

  #isGrey(argument: string): boolean {
    const now = this.#now();
    const first = this.#greylist.get(argument);
    if (first === undefined) this.#greylist.set(argument, now);
    return now - (first ?? now) < GREYLIST_FOR;
  }

  #temporary(stage: HostStage): string {
    if (stage === "connect") return this.#chance.pick(["421 4.3.2 Not now", "554 5.3.2 No mail here"]);
    if (stage === "starttls") return "454 4.7.0 TLS not available";
    const common = ["421 4.3.2 Closing down", "451 4.3.0 Local trouble", "450 4.2.1 Busy", "452 4.3.1 Full"];
    return this.#chance.pick(stage === "rcpt" ? [...common, "452 4.5.3 Too many recipients", "550 5.2.1 Off"] : common);
  }

  /** Anywhere in a conversation, most of which are short. */
  #cut(): Cut {
    const chance = this.#chance;
    const way = chance.pick(["out", "back"] as const);
    const most = way === "out" ? chance.pick([200, 1500, 20_000]) : chance.pick([150, 500, 1500]);
    return { way, octets: chance.whole(0, most), heard: chance.pick(["both", "near", "far", "none"] as const) };
  }
}

/** For how long anything goes wrong, milliseconds. */
export function drawTroubledTime(chance: Chance): number {
  return chance.pick([10 * MINUTE, HOUR, HOUR, 3 * HOUR]);
}
