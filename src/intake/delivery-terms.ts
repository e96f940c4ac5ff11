import { type Duration, type Instant, instant, later, SECOND } from "../base/index.ts";
import { deliverByTime, releaseTime } from "../queue/index.ts";
import type { Verdict } from "../server/index.ts";
import type { MailParameters } from "../smtp/index.ts";
import { REPLIES } from "./replies.ts";

/*
 * What a sender asks of time and urgency, as far as its grammar does not say whether it can be had: RFC 4865 (later), RFC 2852
 * (not later than), RFC 6710 (before others).
 */

/** The EHLO line of RFC 4865 §3: the longest time that mail is held, in seconds and as a date. */
export function futureRelease(now: Instant, longest: Duration): readonly [keyword: string, ...parameters: string[]] {
  const until = new Date(later(now, longest)).toISOString().replace(/\.\d+Z$/, "Z");
  return ["FUTURERELEASE", String(Math.floor(longest / SECOND)), until];
}

/** The refusal of a release that is over, too far away (RFC 4865 §4.2), or past the time to deliver by (§5.2.2); null for all else. */
export function judgeRelease(parameters: MailParameters, now: Instant, longest: Duration): Verdict | null {
  const { hold } = parameters;
  if (hold === undefined) return null;
  const message = { receivedAt: now, parameters };
  const release = releaseTime(message);
  // An interval has its bound in whole seconds, as announced.
  const bound = "for" in hold ? instant(now + Math.floor(longest / SECOND) * SECOND) : later(now, longest);
  if ("until" in hold && Date.parse(hold.until) <= now) return { kind: "refuse", reply: REPLIES.releaseOver };
  if (release > bound) return { kind: "refuse", reply: REPLIES.releaseTooFar };
  const deliverBy = deliverByTime(message);
  const contradiction = deliverBy !== null && release > deliverBy;
  return contradiction ? { kind: "refuse", reply: REPLIES.releaseTooLate } : null;
}

/** RFC 6710 §4.1: anybody may stand back, only who is known may go before others. */
export function grantedPriority({ priority }: MailParameters, mayRaise: boolean): number | undefined {
  return priority !== undefined && priority > 0 && !mayRaise ? 0 : priority;
}
