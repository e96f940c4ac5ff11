// MTA-STS as a configuration has it: the policy of our own domains, and the finding of those of others.
import { domainToASCII } from "node:url";
import type { Clock, Log } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import type { Resolver } from "../net/index.ts";
import {
  type createStsFetch,
  createStsPolicies,
  formatStsPolicy,
  type KeptStsPolicies,
  policyId,
  STS_PATH,
  type StsPoliciesOptions,
} from "../trust/index.ts";
import type { Page } from "../web/index.ts";

export interface StsParts {
  readonly config: Pick<Config, "mtaSts">;
  /** As in `StsPoliciesOptions`. */
  readonly refresh: boolean;
  /** The trust file; null keeps policies in memory. */
  readonly file: StsPoliciesOptions["file"];
  readonly resolver: Pick<Resolver, "txt" | "addresses">;
  /** Authorities trusted at policy hosts now, PEM; null for the system's. */
  ca(): readonly string[] | null;
  /** Made anew for each fetch, with the authorities of that moment. */
  readonly stsFetch: typeof createStsFetch;
  readonly clock: Clock;
  readonly log: Log;
}

/** The policies of other domains; the caller closes them. */
export function findStsPolicies(parts: StsParts): KeptStsPolicies {
  const { config, refresh, file, resolver, stsFetch, clock, log } = parts;
  const { fetchPort: port, fetchNetworks: networks } = config.mtaSts;
  const fetch: StsPoliciesOptions["fetch"] = (domain, signal) =>
    stsFetch({ resolver, networks, ca: parts.ca(), port })(domain, signal);
  return createStsPolicies({ resolver, refresh, file, fetch, clock, log });
}

/** The policy of our domains, as it is served. */
function ownStsPolicy({ mtaSts }: Pick<Config, "mtaSts">): string {
  const { mode, mx, maxAge } = mtaSts;
  return formatStsPolicy({ mode, maxAge, mx: mx.map(asciiPattern) });
}

/** The id that the TXT records of our domains announce (RFC 8461 §3.1); null where no policy is served here. */
export function ownStsId(config: Pick<Config, "mtaSts" | "web">): string | null {
  return config.web.length > 0 ? policyId(ownStsPolicy(config)) : null;
}

/** RFC 8461 §8.2: what a proxy in front may keep an answer for, seconds. */
const PROXY_MAX_AGE = 60;

/** The policy, at the policy host of each of our domains (RFC 8461 §3.2). */
export function stsPage(config: Pick<Config, "mtaSts" | "domains">): Page {
  const hosts = new Set(config.domains.map(({ name }) => `mta-sts.${ascii(name)}`));
  const body = ownStsPolicy(config);
  const response = { status: 200, type: "text/plain; charset=utf-8", body, maxAge: PROXY_MAX_AGE };
  return { path: STS_PATH, serves: (host) => hosts.has(host), respond: () => response };
}

/** RFC 8461 §3.2: `mx` is the A-label. */
function asciiPattern(pattern: string): string {
  return pattern.startsWith("*.") ? `*.${ascii(pattern.slice(2))}` : ascii(pattern);
}

function ascii(name: string): string {
  return domainToASCII(name) || name;
}
