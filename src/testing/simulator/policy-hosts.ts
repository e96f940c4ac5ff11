import { type Duration, err, MINUTE, ok } from "../../base/index.ts";
import { parseStsPolicy, type StsFetch } from "../../trust/index.ts";
import type { LinkEnd } from "./link-end.ts";
import type { Life, VirtualLoop } from "./loop.ts";

/** How one fetch fares. */
export interface FetchFate {
  /** Milliseconds. */
  readonly delay: number;
  readonly failed: boolean;
}

/** A delivery may have asked for the policy so long before it connects: no host of it is begun after 10 minutes. */
const LONGEST_ATTEMPT: Duration = 15 * MINUTE;

/** The HTTPS servers that MTA-STS policies are fetched from, and who fetched which. */
export class PolicyHosts {
  readonly #policies: ReadonlyMap<string, string>;
  readonly #loop: VirtualLoop;
  readonly #fate: () => FetchFate;
  /** When a policy came for the first time, by who has it and its domain. None expires within a world. */
  readonly #fetched = new Map<string, number>();

  constructor(parts: {
    readonly policies: ReadonlyMap<string, string>;
    readonly loop: VirtualLoop;
    readonly fate: () => FetchFate;
  }) {
    this.#policies = parts.policies;
    this.#loop = parts.loop;
    this.#fate = parts.fate;
  }

  /** For the machine at `address`. */
  fetcher(address: string, life: Life): StsFetch {
    return (domain, signal) =>
      new Promise((resolve) => {
        const { delay, failed } = this.#fate();
        this.#loop.after(delay, () => {
          if (!life.alive) return;
          const text = this.#policies.get(domain);
          const policy = failed || signal.aborted || text === undefined ? null : parseStsPolicy(text);
          if (policy?.ok !== true) {
            resolve(err({ type: "sts-policy-fetch-error", detail: "the policy host did not answer" }));
            return;
          }
          const key = `${address} ${domain}`;
          if (!this.#fetched.has(key)) this.#fetched.set(key, this.#loop.now);
          resolve(ok(policy.value));
        });
      });
  }

  /** Whether whoever is behind this connection knew the policy before it was opened. */
  isKnown(domain: string, { peer, link }: LinkEnd): boolean {
    const since = this.#fetched.get(`${peer.address} ${domain}`);
    return since !== undefined && link.openedAt > since + LONGEST_ATTEMPT;
  }
}
