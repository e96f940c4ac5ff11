import { z } from "zod";
import { err, HOUR, MINUTE, ok, type Result } from "../base/index.ts";
import { count, duration, text } from "./forms.ts";
import type { LimitConfig, RetryConfig } from "./model.ts";
import type { Finding } from "./problems.ts";
import { parseDuration, parseMatch } from "./values.ts";
import { field, list } from "./written.ts";

const match = () => text('"example.org", ".example.org" (all below it) or "*"', parseMatch);

/** `[queue]`: mail that waits. */
export const queue = z
  .strictObject({
    retry_first: duration().prefault("5m").describe("The wait after a first failed attempt; it doubles each time."),
    retry_longest: duration().prefault("4h").describe("The longest wait between attempts."),
    give_up_after: duration()
      .prefault("5d")
      .describe("The age at which undelivered mail goes back to its sender (RFC 5321 §4.5.4.1)."),
    warn_after: duration()
      .prefault("4h")
      .describe("The age at which a sender is told that mail is delayed, once (RFC 3461 §5.2.5)."),
    concurrency: count(10_000).prefault(100).describe("Deliveries at once, in all."),
    destination_concurrency: count(1000)
      .prefault(20)
      .describe(
        "Deliveries at once to one destination, at most. It begins with 5; each success lets one more go at a time, and trouble half as many.",
      ),
    history: duration()
      .prefault("7d")
      .describe(
        "How long `postern queue history` tells what became of mail that is over: when, at which host, under which rule.",
      ),
    history_recipients: z
      .int()
      .min(0)
      .max(10_000_000)
      .prefault(100_000)
      .describe("The most recipients told of there, some 500 octets of the queue file each. 0 keeps nothing."),
  })
  .describe("Mail that waits.");

/** `[[retry]]`: where other waits count. */
export const retry = z
  .strictObject({
    match: match().describe("Recipient domains this is for."),
    reply: text('"451", "45*", "4.7.1", "4.7.*" or "none"', parseReplyPattern)
      .optional()
      .describe(
        "Only after this reply: its code, its enhanced status, or the beginning of one and `*`. `none`: after trouble without a reply. " +
          "Without it: after any trouble.",
      ),
    first: duration().optional().describe("As `queue.retry_first`."),
    longest: duration().optional().describe("As `queue.retry_longest`."),
    schedule: z
      .array(duration())
      .min(1)
      .optional()
      .meta({ accepted: 'a list of durations such as ["1m", "5m", "1h"]' })
      .describe("The waits one by one, in place of `first` and `longest`; the last is repeated."),
    give_up_after: duration().optional().describe("As `queue.give_up_after`, and no longer than that."),
  })
  .describe(
    "Other waits for some domains, or after some replies. The first match wins; what it leaves out is as under `[queue]`.",
  );

/** `[[limit]]`: what others may be burdened with. */
export const limit = z
  .strictObject({
    match: match().describe(
      "Recipient domains, and MX hosts or smarthosts by their names: a limit on a host counts for all domains that lead to it together. " +
        "`*` is each domain, and each host.",
    ),
    messages_per_minute: count(1_000_000).optional().describe("Messages sent in a minute, evenly spaced."),
    connections: count(10_000)
      .optional()
      .describe(
        "Connections at once. Without it what is learned: up to `queue.destination_concurrency` for a domain, 50 for a host.",
      ),
    messages_per_connection: count(1_000_000)
      .optional()
      .describe("Messages sent over one connection to a host before it is closed for a new one. Never more than 100."),
  })
  .describe("What a destination or a host of it may be burdened with. The first match counts, alone.");

/** A reply code, an enhanced status, the beginning of one and `*`, or `none`. */
export function parseReplyPattern(written: string): Result<string, string> {
  const known = /^(?:[45](?:\d\d|\d\*|\*)|[45]\.(?:\*|\d{1,3}\.(?:\*|\d{1,3}))|none)$/.test(written);
  return known ? ok(written) : err(`${JSON.stringify(written.slice(0, 80))} is no reply that can be waited after`);
}

export function retryOf(given: z.output<typeof retry>): RetryConfig {
  return {
    match: given.match,
    reply: given.reply ?? null,
    first: given.first ?? null,
    longest: given.longest ?? null,
    schedule: given.schedule ?? null,
    giveUpAfter: given.give_up_after ?? null,
  };
}

export function limitOf(given: z.output<typeof limit>): LimitConfig {
  return {
    match: given.match,
    messagesPerMinute: given.messages_per_minute ?? null,
    connections: given.connections ?? null,
    messagesPerConnection: given.messages_per_connection ?? null,
  };
}

/** What of the keys for waiting mail contradicts another. */
export function queueFindings(written: unknown): readonly Finding[] {
  return [...waitFindings(written), ...retryFindings(written), ...limitFindings(written)];
}

function waitFindings(written: unknown): Finding[] {
  const queueTable = field(written, "queue");
  const first = lengthOf(field(queueTable, "retry_first"), 5 * MINUTE);
  const longest = lengthOf(field(queueTable, "retry_longest"), 4 * HOUR);
  if (first <= longest) return [];
  const remedy = "make it at least as long as retry_first";
  return [{ path: ["queue", "retry_longest"], problem: "is shorter than retry_first", remedy }];
}

function retryFindings(written: unknown): Finding[] {
  const giveUp = lengthOf(field(field(written, "queue"), "give_up_after") ?? "5d", Number.POSITIVE_INFINITY);
  const seen = new Set<string>();
  return list(written, "retry").flatMap((line, position) => {
    const findings: Finding[] = [];
    const report = (key: string, problem: string, remedy: string): void => {
      findings.push({ path: ["retry", position, key], problem, remedy });
    };
    const has = (key: string): boolean => field(line, key) !== undefined;
    if (!["first", "longest", "schedule", "give_up_after"].some(has)) {
      report("match", "nothing is said of when to try again", "add first, longest, schedule or give_up_after");
    }
    if (has("schedule") && (has("first") || has("longest"))) {
      report("schedule", "stands in place of first and longest", "keep one or the other");
    }
    if (
      has("longest") &&
      lengthOf(field(line, "first"), 0) > lengthOf(field(line, "longest"), Number.POSITIVE_INFINITY)
    ) {
      report("longest", "is shorter than first", "make it at least as long as first");
    }
    if (lengthOf(field(line, "give_up_after"), 0) > giveUp) {
      report(
        "give_up_after",
        "is longer than queue.give_up_after, which ends all mail",
        "raise that one, or lower this",
      );
    }
    const key = String(field(line, "match"));
    const reply = String(field(line, "reply") ?? "");
    const hiders = [`${key} `, `${key} ${reply}`, "* ", `* ${reply}`];
    if (hiders.some((hider) => seen.has(hider))) {
      report("match", "an earlier [[retry]] takes all of this mail", "the first match wins: move it up, or remove it");
    }
    seen.add(`${key} ${reply}`);
    return findings;
  });
}

function limitFindings(written: unknown): Finding[] {
  const seen = new Set<string>();
  return list(written, "limit").flatMap((line, position) => {
    const path = ["limit", position, "match"];
    const findings: Finding[] = [];
    const key = String(field(line, "match"));
    if (seen.has("*") || seen.has(key)) {
      const remedy = "the first match wins: move it up, or remove it";
      findings.push({ path, problem: "an earlier [[limit]] takes all of this", remedy });
    }
    seen.add(key);
    const keys = ["messages_per_minute", "connections", "messages_per_connection"];
    if (!keys.some((one) => field(line, one) !== undefined)) {
      findings.push({ path, problem: "limits nothing", remedy: `add ${keys.join(", ")}` });
    }
    return findings;
  });
}

/** `otherwise` also where the text is no duration, which is a finding of its own. */
function lengthOf(written: unknown, otherwise: number): number {
  const parsed = typeof written === "string" ? parseDuration(written) : null;
  return parsed?.ok === true ? parsed.value : otherwise;
}
