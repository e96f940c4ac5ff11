import { type Clock, encodeUtf8, type Instant, instant } from "../base/index.ts";
import type { Mailbox } from "../smtp/index.ts";
import type { NewMessage, Outcome, QueueId } from "./model.ts";
import type { AcceptedMessage, Body, DueQuery, QueueStore, Settlement } from "./store.ts";

/* What the conformance cases, and other tests of the queue, are made with. Checks throw plain errors, so that any test runner can hold the cases. */

export const START = instant(1_800_000_000_000);
export const HOUR_MS = 3_600_000;

/** A clock that stands still; the cases pass times as arguments. */
export const stillClock: Clock = { now: () => START, after: () => ({ cancel() {} }) };

export function at(milliseconds: number): Instant {
  return instant(START + milliseconds);
}

export function mailbox(text: string): Mailbox {
  const [localPart = "", domain = ""] = text.split("@");
  return { localPart, domain: domain as Mailbox["domain"] }; // a constant of these tests
}

export function newMessage(
  id: QueueId,
  size: number,
  recipients: readonly string[],
  changes: Partial<NewMessage> = {},
): NewMessage {
  return {
    id,
    receivedAt: START,
    expiresAt: at(5 * HOUR_MS),
    reversePath: mailbox("sender@origin.test"),
    parameters: { body: "8BITMIME", size },
    origin: { service: "mx", sessionId: "s1", address: "192.0.2.1", hello: "client.test", identity: null, tls: null },
    recipients: recipients.map((text) => ({ mailbox: mailbox(text), parameters: { notify: ["FAILURE"] } })),
    size,
    ...changes,
  };
}

const HOP = { host: "mx.test", address: "192.0.2.2", port: 25, tls: null, rule: "opportunistic (no policy published)" };
export const DELIVERED: Outcome = { kind: "delivered", reply: { code: 250, status: null, lines: ["ok"] }, hop: HOP };
export const DEFERRED: Outcome = {
  kind: "deferred",
  scope: "host",
  problem: { text: "connection refused", reply: null, status: "4.4.1" },
  hop: HOP,
};
export const FAILED: Outcome = {
  kind: "failed",
  scope: "recipient",
  problem: { text: "no such user", reply: { code: 550, status: null, lines: ["no"] }, status: "5.1.1" },
  hop: HOP,
};

interface SampleOptions {
  readonly text?: string;
  readonly claim?: boolean;
  readonly changes?: Partial<NewMessage>;
}

/** Keeps a message with the given recipients; for tests. */
export async function keepSample(
  store: QueueStore,
  recipients: readonly string[],
  options: SampleOptions = {},
): Promise<AcceptedMessage> {
  await using draft = store.createDraft();
  const octets = encodeUtf8(options.text ?? "Subject: x\r\n\r\nhello\r\n");
  await draft.append(octets);
  const message = newMessage(draft.id, octets.length, recipients, options.changes);
  return await draft.keep(message, { claim: options.claim ?? false });
}

export function settlement(
  id: QueueId,
  outcomes: readonly (readonly [index: number, outcome: Outcome, nextAttempt?: Instant, warned?: boolean])[],
  report: Settlement["report"] = null,
): Settlement {
  const recipients = outcomes.map(([index, outcome, nextAttempt, warned]) => ({
    index,
    outcome,
    nextAttempt: nextAttempt ?? null,
    warned: warned ?? false,
  }));
  return { id, at: at(1000), recipients, report };
}

export async function textOf(body: Body): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body.chunks()) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

export function equal(actual: unknown, expected: unknown, what: string): void {
  const [seen, wanted] = [canonical(actual), canonical(expected)];
  if (seen !== wanted) throw new Error(`${what}: expected ${wanted}, got ${seen}`);
}

/** JSON with the keys in order. */
function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

export async function rejects(action: () => Promise<unknown>, what: string): Promise<void> {
  const outcome = await action().then(
    () => "resolved",
    () => "rejected",
  );
  equal(outcome, "rejected", what);
}

export async function claimed(
  store: QueueStore,
  now: Instant,
  limit = 100,
  of: Pick<DueQuery, "except" | "only"> = {},
): Promise<string[]> {
  const messages = await store.claimDue({ now, limit, ...of });
  return messages.flatMap(({ message, recipients }) =>
    recipients.map((index) => {
      const recipient = message.recipients.find((each) => each.index === index);
      return recipient === undefined ? "?" : `${recipient.mailbox.localPart}@${recipient.mailbox.domain}`;
    }),
  );
}
