import type { DatabaseSync } from "node:sqlite";
import { LRUCache } from "lru-cache";
import {
  type Clock,
  DAY,
  type Duration,
  HOUR,
  type Instant,
  type Log,
  later,
  MINUTE,
  printable,
  type Result,
  type Timer,
} from "../base/index.ts";
import type { Resolver } from "../net/index.ts";
import { parseDomain } from "../smtp/index.ts";
import { events } from "./events.ts";
import { FetchPlaces, type Unplaced } from "./fetch-places.ts";
import type { StsFailure, StsFinding, StsPolicies } from "./model.ts";
import { parseStsRecords, type ServedPolicy } from "./sts-policy.ts";
import { type KeptPolicy, StsStore } from "./sts-store.ts";

/** Fetches the policy of a domain from its policy host. Never rejects; `signal` ends it early, as a failure. */
export type StsFetch = (domain: string, signal: AbortSignal) => Promise<Result<ServedPolicy, StsFailure>>;

export interface StsPoliciesOptions {
  readonly resolver: Pick<Resolver, "txt">;
  /** The trust file; null keeps policies in memory alone. Not closed here. */
  readonly file: DatabaseSync | null;
  /**
   * Whether what is due is fetched anew in the background; default true. Of several processes with the same file one does; the others
   * find in it what that one fetched.
   */
  readonly refresh?: boolean;
  readonly fetch: StsFetch;
  readonly clock: Clock;
  readonly log: Log;
}

/** The policies, and a task in the background that fetches them anew until `close`. */
export interface KeptStsPolicies extends StsPolicies {
  /** Ends running fetches and the task. */
  close(): void;
}

/** RFC 8461 §3.3: once a day. */
const REFRESH_AFTER: Duration = DAY;
/** After a refresh that failed. */
const REFRESH_AGAIN_AFTER: Duration = HOUR;
/** How often it is looked which policies are due. */
const REFRESH_CHECK: Duration = 5 * MINUTE;
/** Policies fetched anew in one round, and at once. */
const REFRESH_BATCH = 200;
const REFRESH_AT_ONCE = 4;
/** A policy that no mail asked for in this time is left to expire. */
const REFRESH_WHILE_USED_WITHIN: Duration = 60 * DAY;
/** RFC 8461 §3.3: after a failure no further attempt for five minutes or longer, for each version. */
const FAILURE_PAUSE: Duration = 5 * MINUTE;
/** Failures remembered at once. */
const FAILURES = 10_000;
/** Policy hosts asked at once. */
const FETCHES = 200;

/** We could not look, so that no absence is to be concluded. */
const UNKNOWN = { unknown: true } as const;

/**
 * Finds the policies of domains (RFC 8461 §3, §5.1) and keeps them. The TXT record is asked for each time, by way of the resolver's
 * cache, so that a policy which changed is known before mail is given up for the old one (RFC 8461 §5).
 */
export function createStsPolicies(options: StsPoliciesOptions): KeptStsPolicies {
  const keeper = new Keeper(options);
  if (options.refresh ?? true) keeper.start();
  return keeper;
}

interface Failed {
  readonly id: string;
  readonly failure: StsFailure;
  readonly until: Instant;
}

interface FetchRequest {
  readonly domain: string;
  readonly id: string;
  readonly kept: KeptPolicy | null;
  readonly signal: AbortSignal;
}

class Keeper implements KeptStsPolicies {
  readonly #options: StsPoliciesOptions;
  readonly #store: StsStore;
  readonly #places: FetchPlaces<Result<KeptPolicy, StsFailure>>;
  // `max` would take the room for all of them at once.
  readonly #failed = new LRUCache<string, Failed>({ maxSize: FAILURES, sizeCalculation: () => 1 });
  readonly #stopped = new AbortController();
  #timer: Timer | null = null;

  constructor(options: StsPoliciesOptions) {
    this.#options = options;
    this.#store = new StsStore(options.file, options.log);
    this.#places = new FetchPlaces(options.clock, FETCHES);
  }

  start(): void {
    this.#timer = this.#options.clock.after(
      REFRESH_CHECK,
      () => void this.#refreshRound().finally(() => this.#again()),
    );
  }

  async find(name: string): Promise<StsFinding> {
    const domain = policyDomain(name);
    if (domain === null) return { kind: "none", reason: "it is no domain name", failure: null };
    const announced = await this.#announced(domain);
    // Looked for behind the lookup, which may take long: by now another mail may have had the policy fetched.
    const now = this.#options.clock.now();
    if (announced.kind !== "id") {
      const { kind, reason } = announced;
      const kept = this.#store.use(domain, now);
      if (kept !== null) return findingOf(kept, { type: "sts-policy-fetch-error", detail: reason });
      return { kind: "none", reason, failure: null, ...(kind === "failed" && UNKNOWN) };
    }
    const kept = this.#store.useNewest(domain, announced.id, now);
    if (kept?.id === announced.id) return findingOf(kept, null);
    const pause = this.#failed.get(domain);
    if (pause !== undefined && pause.id === announced.id && pause.until > now) {
      return withoutNew(kept, pause.failure);
    }
    const fetched = await this.#fetch(domain, announced.id, kept);
    if ("kind" in fetched) return notAsked(kept, fetched);
    return fetched.ok ? findingOf(fetched.value, null) : withoutNew(kept, fetched.error);
  }

  close(): void {
    this.#timer?.cancel();
    this.#stopped.abort();
    this.#places.close();
    this.#store.close();
  }

  async #announced(domain: string): Promise<{ kind: "id"; id: string } | { kind: "none" | "failed"; reason: string }> {
    const answer = await this.#options.resolver.txt(`_mta-sts.${domain}`);
    if (answer.kind === "failed") {
      return {
        kind: "failed",
        reason: `the TXT record of MTA-STS could not be looked up: ${printable(answer.detail)}`,
      };
    }
    const record = parseStsRecords(answer.kind === "found" ? answer.records : []);
    return record.ok ? { kind: "id", id: record.value } : { kind: "none", reason: record.error };
  }

  /** One fetch of a domain at a time; who asks meanwhile gets its outcome. */
  #fetch(domain: string, id: string, kept: KeptPolicy | null): Promise<Result<KeptPolicy, StsFailure> | Unplaced> {
    return this.#places.run(domain, (signal) => this.#fetchNow({ domain, id, kept, signal }));
  }

  /** Null where it was given up before it came to anything. */
  async #fetchNow({ domain, id, kept, signal }: FetchRequest): Promise<Result<KeptPolicy, StsFailure> | null> {
    const { clock, log, fetch } = this.#options;
    const fetched = await fetch(domain, signal);
    const now = clock.now();
    if (!fetched.ok) {
      if (signal.aborted) return null;
      this.#failed.set(domain, { id, failure: fetched.error, until: later(now, FAILURE_PAUSE) });
      if (kept !== null) this.#store.postpone(kept, later(now, REFRESH_AGAIN_AFTER));
      // RFC 8461 §10.2: a policy that says `none` is on its way out, and nobody is to be alarmed.
      const level = kept?.policy.mode === "none" ? "debug" : "warn";
      const keeps = kept === null ? undefined : new Date(kept.expiresAt).toISOString();
      log[level](events.stsFailed, { domain, type: fetched.error.type, detail: fetched.error.detail, keeps });
      return fetched;
    }
    this.#failed.delete(domain);
    const policy = keptPolicy(domain, id, fetched.value, now, kept);
    if (!this.#stopped.signal.aborted) this.#store.put(policy);
    const { mode, mx } = policy.policy;
    const news = kept === null || kept.policy.lines.join("\n") !== policy.policy.lines.join("\n");
    const expires = new Date(policy.expiresAt).toISOString();
    log[news ? "info" : "debug"](events.stsFetched, { domain, id, mode, mx, expires });
    return { ok: true, value: policy };
  }

  #again(): void {
    if (!this.#stopped.signal.aborted) this.start();
  }

  /** RFC 8461 §10.2: fetches what is due whatever DNS says now, so that who suppresses the TXT record cannot wear a policy out. */
  async #refreshRound(): Promise<void> {
    const now = this.#options.clock.now();
    this.#store.sweep(now);
    const due = [...this.#store.due(now, later(now, -REFRESH_WHILE_USED_WITHIN), REFRESH_BATCH)];
    const worker = async (): Promise<void> => {
      for (let kept = due.shift(); kept !== undefined && !this.#stopped.signal.aborted; kept = due.shift()) {
        const announced = await this.#announced(kept.domain);
        await this.#fetch(kept.domain, announced.kind === "id" ? announced.id : kept.id, kept);
      }
    };
    await Promise.all(Array.from({ length: REFRESH_AT_ONCE }, worker));
  }
}

/**
 * Deviation: RFC 8461 §3.2 lets a max_age be as short as nothing. One below `FAILURE_PAUSE` counts as that long, for else each
 * message would fetch the policy.
 */
function keptPolicy(
  domain: string,
  id: string,
  policy: ServedPolicy,
  now: Instant,
  before: KeptPolicy | null,
): KeptPolicy {
  const lifetime = Math.max(policy.maxAge, FAILURE_PAUSE);
  return {
    domain,
    id,
    policy,
    fetchedAt: now,
    expiresAt: later(now, lifetime),
    refreshAt: later(now, Math.min(REFRESH_AFTER, lifetime / 2)),
    usedAt: before?.usedAt ?? now,
  };
}

function findingOf({ domain, id, policy, fetchedAt, expiresAt }: KeptPolicy, failure: StsFailure | null): StsFinding {
  const { mode, mx, lines } = policy;
  // RFC 8461 §5: as though there were no policy; and so nothing to report either (§6).
  if (mode === "none") return { kind: "none", reason: "its policy says none", failure: null };
  return { kind: "policy", policy: { domain, id, mode, mx, lines, fetchedAt, expiresAt }, failure };
}

/** RFC 8461 §3.3: a policy that has not expired stays; without one mail goes on as though there were none. */
function withoutNew(kept: KeptPolicy | null, failure: StsFailure): StsFinding {
  if (kept !== null) return findingOf(kept, failure);
  return { kind: "none", reason: `it announces a policy that cannot be had: ${failure.detail}`, failure };
}

/**
 * A policy that is announced and was not asked for is no policy that cannot be had: what RFC 8461 §3.3 says of a failed fetch does not
 * apply, or strangers with slow policy hosts could take a domain's policy away. One that is kept and enforced is as good as the new one.
 */
function notAsked(kept: KeptPolicy | null, { again }: Unplaced): StsFinding {
  if (kept?.policy.mode === "enforce") return findingOf(kept, null);
  const reason = "it announces a policy that could not be asked for yet, since too many others are being fetched";
  return { kind: "pending", reason, failure: null, again };
}

/** The A-label form under which policies are kept; null for what can have none, such as an address literal (RFC 8461 §3.4). */
function policyDomain(name: string): string | null {
  const domain = name.toLowerCase().replace(/\.$/, "");
  const usable = parseDomain(`mta-sts.${domain}`);
  return usable.ok && /^[\x21-\x7e]+$/.test(domain) ? domain : null;
}
