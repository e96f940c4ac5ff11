// When mail is tried again, and what its destinations may be burdened with, as the configuration says it.
import { domainToASCII } from "node:url";
import { type Clock, MINUTE, type Random } from "../base/index.ts";
import type { Config, RetryConfig } from "../config/index.ts";
import { createHostLoads, type HostLoads } from "../delivery/index.ts";
import { defaultRetryRule, type Limit, limitOf, noLimit, type RetryException, type RetryRule } from "../queue/index.ts";

/** The waits of all mail. */
export function retryRule({ queue }: Pick<Config, "queue">): RetryRule {
  return {
    ...defaultRetryRule,
    first: queue.retryFirst,
    longest: queue.retryLongest,
    giveUpAfter: queue.giveUpAfter,
    warnAfter: queue.warnAfter,
  };
}

/** Where others count, first match first. Recipients may be written with U-labels and with A-labels. */
export function retryExceptions({ retries }: Pick<Config, "retries">): readonly RetryException[] {
  return retries.flatMap(({ match, reply, first, longest, schedule, giveUpAfter }: RetryConfig) => {
    const changes = {
      reply,
      ...(first === null ? {} : { first }),
      ...(longest === null ? {} : { longest }),
      ...(schedule === null ? {} : { schedule }),
      ...(giveUpAfter === null ? {} : { giveUpAfter }),
    };
    return [...new Set([match, asciiMatch(match)])].map((each) => ({ match: each, ...changes }));
  });
}

/** What others may be burdened with. */
export interface Burdens {
  /** By the key of a destination: only domains have a limit; a smarthost's is its host's. */
  domain(key: string): Limit;
  /** By the name of a host. */
  host(name: string): Limit;
}

export function burdensOf({ limitRules }: Pick<Config, "limitRules">): Burdens {
  const rules = limitRules.map((rule) => ({ ...rule, match: asciiMatch(rule.match) }));
  return {
    domain: (key) => (rules.length === 0 || key.includes(":") ? noLimit : limitOf(rules, key)),
    host: (name) => limitOf(rules, name),
  };
}

/** Half of the first wait of a message is too short for a dead host, all of it would keep the message's own attempt from it. */
const OF_THE_WAIT = 0.8;
const LONGEST = 15 * MINUTE;

/** The loads of hosts, which know their limits. A dead one is left alone for a little less than a message waits; both as they are now. */
export function hostLoads(
  now: { burdens(): Burdens; queue(): Config["queue"] },
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): HostLoads {
  return createHostLoads({
    clock,
    random,
    limitOf: (host) => now.burdens().host(host),
    get first() {
      return OF_THE_WAIT * now.queue().retryFirst;
    },
    get longest() {
      return OF_THE_WAIT * Math.min(now.queue().retryLongest, LONGEST);
    },
  });
}

function asciiMatch(match: string): string {
  if (match === "*") return match;
  const below = match.startsWith(".");
  const name = below ? match.slice(1) : match;
  const ascii = domainToASCII(name) || name;
  return below ? `.${ascii}` : ascii;
}
