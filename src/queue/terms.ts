import { type Duration, type Instant, instant, later, SECOND } from "../base/index.ts";
import type { MailParameters } from "../smtp/index.ts";
import type { NewMessage } from "./model.ts";

/** What a sender asked for that is a matter of time: when to begin, when to end, when to tell of a delay. */
type Timed = Pick<NewMessage, "receivedAt" | "parameters">;

/** When it may first be sent: on arrival, or later where the sender asked for that (RFC 4865 §4.2). */
export function releaseTime({ receivedAt, parameters }: Timed): Instant {
  const { hold } = parameters;
  if (hold === undefined) return receivedAt;
  const at = "for" in hold ? receivedAt + hold.for * SECOND : Date.parse(hold.until);
  return instant(Math.max(at, receivedAt));
}

/** The deliver-by-time, null where none was asked for. It may lie before the arrival (RFC 2852 §4). */
export function deliverByTime({ receivedAt, parameters }: Timed): Instant | null {
  return parameters.by === undefined ? null : instant(receivedAt + parameters.by.seconds * SECOND);
}

/** RFC 2852 §4: nine digits at most. */
const LONGEST_AGO = -999_999_999;

/** Seconds that are left, rounded up: the sum over all hops must not be shorter than what was asked (RFC 2852 §4.1.4). */
export function remainingTerm(message: Timed, now: Instant): MailParameters["by"] {
  const { by } = message.parameters;
  const until = deliverByTime(message);
  if (by === undefined || until === null) return undefined;
  return { ...by, seconds: Math.max(Math.ceil((until - now) / SECOND), LONGEST_AGO) };
}

/**
 * When waiting recipients are given up. The lifetime counts from the release. A message to be returned when it is late ends at
 * its deliver-by-time; one to be notified of does not, and neither lives longer by it (RFC 2852 §4).
 */
export function expiryTime(message: Timed, lifetime: Duration): Instant {
  const ordinary = later(releaseTime(message), lifetime);
  const until = deliverByTime(message);
  return message.parameters.by?.mode === "R" && until !== null ? instant(Math.min(until, ordinary)) : ordinary;
}

/** To be returned, and the time for it is over: no further attempt may be made (RFC 2852 §4.1.3). */
export function isOverdue(message: Timed, now: Instant): boolean {
  const until = deliverByTime(message);
  return message.parameters.by?.mode === "R" && until !== null && now >= until;
}

/**
 * When recipients that still wait are reported as delayed: `warnAfter` past the release (RFC 3461 §5.2.5). A sender who named a
 * time to be notified at is told at that time instead (RFC 2852 §4.1.3), unless it was over on arrival and told of elsewhere.
 */
export function delayReportTime(message: Timed, warnAfter: Duration): Instant {
  const { by } = message.parameters;
  const until = deliverByTime(message);
  if (by?.mode === "N" && by.seconds > 0 && until !== null) return until;
  return later(releaseTime(message), warnAfter);
}
