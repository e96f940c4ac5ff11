import { z } from "zod";
import { err, ok, type Result } from "../base/index.ts";
import { byteSize } from "./forms.ts";
import { parseByteSize } from "./values.ts";

/** The most of anything that may be written; beyond it is no limit. */
const MOST = 10_000_000;

const rate = (fallback: number) => z.int().min(0).max(MOST).prefault(fallback);

const rates = {
  messages_per_minute: rate(0).describe("Messages a minute. 0: no limit, here and below."),
  messages_per_hour: rate(0).describe("Messages an hour."),
  messages_per_day: rate(0).describe("Messages a day."),
  recipients_per_minute: rate(0).describe("Recipients a minute, each counted as often as it is written to."),
  recipients_per_hour: rate(0).describe("Recipients an hour."),
};

/** `[submission.limits]`. */
export const userLimits = z
  .strictObject({
    ...rates,
    recipients_per_day: rate(10_000).describe("Recipients a day."),
    new_recipients_per_day: rate(2000).describe(
      "Recipients a day that the user has not written to within 30 days. What a thief of a password needs most, and a user least.",
    ),
    message_size: byteSize().optional().describe("The largest message of a user, below `limits.message_size`."),
    sessions: rate(0).describe("Sessions of one user at once."),
  })
  .describe(
    "How much each user may send, unless `postern user limit` says otherwise. Beyond it: 450 4.7.1, with when to try again. What was not " +
      "taken does not count.",
  );

/** `[submission.address_limits]`. */
export const addressLimits = z
  .strictObject({ ...rates, recipients_per_day: rate(0).describe("Recipients a day.") })
  .describe("How much may be sent from one address (an IPv6 /64), by all users there together.");

/** What `postern user limit` may set, and how each value is written. */
export const USER_LIMITS = [
  "messages_per_minute",
  "messages_per_hour",
  "messages_per_day",
  "recipients_per_minute",
  "recipients_per_hour",
  "recipients_per_day",
  "new_recipients_per_day",
  "message_size",
  "sessions",
] as const;

export type UserLimit = (typeof USER_LIMITS)[number];

/** `KEY=VALUE`; the value `default` is null, `none` is 0. */
export function parseUserLimit(
  text: string,
): Result<{ readonly limit: UserLimit; readonly value: number | null }, string> {
  const [, name, written = ""] = /^([a-z_]+)=(.+)$/.exec(text) ?? [];
  const limit = USER_LIMITS.find((known) => known === name);
  if (limit === undefined) return err(`"${text}" is not KEY=VALUE with one of ${USER_LIMITS.join(", ")}`);
  if (written === "default") return ok({ limit, value: null });
  if (written === "none") return ok({ limit, value: 0 });
  if (limit === "message_size") {
    const size = parseByteSize(written);
    return size.ok ? ok({ limit, value: size.value }) : err(`${size.error}, such as "10 MiB", none or default`);
  }
  const value = /^\d{1,8}$/.test(written) ? Number(written) : Number.NaN;
  if (value <= MOST) return ok({ limit, value });
  return err(`"${written}" is not a whole number up to ${MOST}, none or default`);
}
