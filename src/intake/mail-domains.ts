import { type Clock, type Duration, type Instant, later, MINUTE, SECOND } from "../base/index.ts";
import type { Mailbox } from "../smtp/index.ts";

/** What is known of the way to a mailbox's domain. `unknown` where DNS cannot say just now, which is no reason to refuse anything. */
export type DomainVerdict = "reachable" | "unknown" | "nullMx" | "noDomain" | "noHost" | "loop";

/** Looks up domains before mail for them is taken; the port to DNS and routes. */
export interface MailDomains {
  /** `reachable` without a look for a domain whose mail does not go by its MX records. Never rejects. */
  check(mailbox: Mailbox): DomainVerdict | Promise<DomainVerdict>;
}

/** A user waits for this answer at each recipient. */
const PATIENCE: Duration = 5 * SECOND;
/** How long nothing is looked up after an answer that did not come in time. */
const PAUSE: Duration = MINUTE;

/**
 * The same, and in a bounded time: what takes longer is `unknown`, and so is all for a minute after, for a thousand recipients must
 * not wait for a dead resolver one after the other.
 */
export function withinPatience(domains: MailDomains, clock: Clock): MailDomains {
  let pausedUntil: Instant | null = null;
  return {
    check(mailbox) {
      if (pausedUntil !== null && clock.now() < pausedUntil) return "unknown";
      const verdict = domains.check(mailbox);
      if (!(verdict instanceof Promise)) return verdict;
      return new Promise((resolve, reject) => {
        const timer = clock.after(PATIENCE, () => {
          pausedUntil = later(clock.now(), PAUSE);
          resolve("unknown");
        });
        verdict.then(resolve, reject).finally(() => timer.cancel());
      });
    },
  };
}
