import { type Instant, MINUTE } from "../../base/index.ts";
import type { Copy, Ledger, Submission, Take } from "./ledger.ts";
import { latin1, readReport } from "./read-message.ts";
import type { World } from "./world.ts";

/** A promise that a run broke. */
export interface Violation {
  readonly invariant: string;
  readonly text: string;
}

/** All that can be told from the ledger when a run is over. Each check gives one line for each thing that is wrong. */
export function audit(ledger: Ledger): Violation[] {
  const checks: Readonly<Record<string, (ledger: Ledger) => Iterable<string>>> = {
    "what was acknowledged is on the disk": acknowledged,
    "nothing is lost": lost,
    "nothing is repeated without a cut": repeated,
    "what was refused is not delivered": refusedAndDelivered,
    "nobody hands in mail as a user without a password": strangers,
    "no message is altered or goes astray": altered,
    "reports are true, and come once": reports,
    "no bounce for a bounce": bouncedBounces,
  };
  const found = Object.entries(checks).flatMap(([invariant, check]) =>
    [...check(ledger)].map((text) => ({ invariant, text })),
  );
  return [...ledger.breaches, ...found];
}

function* acknowledged({ submissions, copies }: Ledger): Iterable<string> {
  const kept = new Set<string>();
  for (const { token, parent, node, recipients } of copies.values()) {
    if (parent === null) for (const { address } of recipients) kept.add(`${token} ${node} ${address}`);
  }
  for (const { token, node, answers } of submissions.values()) {
    for (const [recipient, answer] of answers) {
      if (answer !== "accepted" || kept.has(`${token} ${node} ${recipient}`)) continue;
      yield `${token} for ${recipient}: ${node} said 250, and does not have it`;
    }
  }
}

function* lost(ledger: Ledger): Iterable<string> {
  const takes = byHop(ledger.takes);
  for (const copy of ledger.copies.values()) {
    for (const { address } of copy.recipients) {
      const reason = fateOf(copy, address, { ledger, takes }, 0);
      if (reason !== null) yield `${copy.key} (${copy.token}) for ${address}: ${reason}`;
    }
  }
}

interface Known {
  readonly ledger: Ledger;
  readonly takes: ReadonlyMap<string, readonly Take[]>;
}

/** A chain of nodes, each with a report on the one before it, is never longer in these worlds. */
const LONGEST_WAY = 40;

/** Null for a fate that is allowed, else what is wrong. */
function fateOf(copy: Copy, address: string, known: Known, depth: number): string | null {
  if (depth > LONGEST_WAY) return "goes in a circle";
  if (copy.removed) return null;
  const recipient = copy.recipients.find((one) => one.address === address);
  if (recipient === undefined) return `${copy.key} has forgotten the recipient`;
  switch (recipient.state) {
    case "waiting":
      return null; // that the queues are empty is another question
    case "delivered":
      return delivered(copy, address, known, depth);
    case "failed": {
      const [key] = recipient.reports;
      if (recipient.unreported) return null;
      const report = key === undefined ? undefined : known.ledger.copies.get(key);
      return report === undefined ? "it failed, and its sender was not told" : null;
    }
  }
}

function delivered(copy: Copy, address: string, known: Known, depth: number): string | null {
  const takes = known.takes.get(hopKey(copy.key, address)) ?? [];
  if (takes.length === 0) return "it is recorded as delivered, and nobody has it";
  let reason: string | null = null;
  for (const { copy: next } of takes) {
    const onward = next === null ? undefined : known.ledger.copies.get(next);
    reason = onward === undefined ? null : fateOf(onward, address, known, depth + 1);
    if (reason === null) return null;
  }
  return reason;
}

function byHop(takes: readonly Take[]): ReadonlyMap<string, readonly Take[]> {
  const grouped = new Map<string, Take[]>();
  for (const take of takes) {
    const key = hopKey(take.hop, take.recipient);
    const others = grouped.get(key);
    if (others === undefined) grouped.set(key, [take]);
    else others.push(take);
  }
  return grouped;
}

function hopKey(hop: string, recipient: string): string {
  return `${hop} ${recipient}`;
}

function* repeated(ledger: Ledger): Iterable<string> {
  for (const [key, takes] of byHop(ledger.takes)) {
    for (const [at, take] of takes.entries()) {
      const next = takes[at + 1];
      if (next === undefined) continue;
      const reason = unexplained(take, next, ledger);
      if (reason !== null) yield `${key}: taken by ${take.by}, and again by ${next.by}: ${reason}`;
    }
  }
}

/** Recipients of a copy that were reached more than once. */
export function countRepeats({ takes }: Ledger): number {
  let repeats = 0;
  for (const those of byHop(takes).values()) repeats += those.length - 1;
  return repeats;
}

function wasHeard({ end, reply }: Take): boolean {
  return end !== null && reply !== null && end.other.handed >= reply;
}

function isLate({ end }: Take, before: Take): boolean {
  if (end === null) return true; // a node that never came to its reply
  const { mutedAt } = end.link;
  return mutedAt !== null && mutedAt <= before.at;
}

/** Why `next` should not have happened, or null. */
function unexplained(take: Take, next: Take, { copies, crashes }: Ledger): string | null {
  // What a connection that was lost before had brought already may be taken after that.
  if (!wasHeard(take) || (!wasHeard(next) && isLate(next, take))) return null;
  const copy = copies.get(take.hop);
  if (copy === undefined) return "it was handed in once";
  const recipient = copy.recipients.find(({ address }) => address === take.recipient);
  if (recipient?.settledAt != null && recipient.settledAt < next.at) return "the delivery had been recorded";
  const crashed = crashes.some(({ node, at }) => node === copy.node && at >= take.at && at <= next.at);
  return crashed ? null : "the reply had come, and the node was not interrupted";
}

function* refusedAndDelivered({ submissions, copies }: Ledger): Iterable<string> {
  for (const { token, parent, recipients } of copies.values()) {
    const submission = token === null || parent !== null ? undefined : submissions.get(token);
    for (const { address } of recipients) {
      if (submission?.answers.get(address) === "refused") yield `${token} for ${address} was refused, and is queued`;
    }
  }
}

function* strangers({ submissions, copies }: Ledger): Iterable<string> {
  for (const { token, parent, key } of copies.values()) {
    const submission = token === null || parent !== null ? undefined : submissions.get(token);
    if (submission?.from === "stranger") yield `${key} is from nobody who logged in (${token})`;
  }
}

/** What users hand in gets the Date that it lacks, and nothing else; see `drawText`. */
function withoutMending(text: string, { from }: Submission): string {
  const original = withoutConversion(text);
  return from === "user" ? original.replace(/(^|\r\n)Date: [^\r\n]*\r\n/, "$1") : original;
}

const CONVERTED =
  "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n";

/** What an operator may have made of 8-bit mail for a host that takes none (RFC 6152 §3), undone. No message has such fields by itself. */
function withoutConversion(text: string): string {
  const [header = "", body] = text.split(CONVERTED);
  if (body === undefined) return text;
  const decoded = body.replaceAll("=\r\n", "").replaceAll(/=([0-9A-F]{2})/g, (_, octet: string) => {
    return String.fromCharCode(Number.parseInt(octet, 16));
  });
  return `${header}\r\n${decoded}`;
}

function* altered({ arrivals, submissions }: Ledger): Iterable<string> {
  for (const { host, token, recipient, reversePath, read } of arrivals) {
    const { messageId, untraced } = read;
    if (messageId?.host !== "sim") continue;
    const submission = token === null ? undefined : submissions.get(token);
    if (submission === undefined) yield `${host} has a message that nobody sent (${token})`;
    else if (latin1(submission.octets) !== withoutMending(untraced, submission))
      yield `${token} at ${host} is not what was sent`;
    else if (!submission.recipients.includes(recipient))
      yield `${token} at ${host} for ${recipient}, to whom it was not sent`;
    else if (submission.reversePath !== reversePath) yield `${token} at ${host} comes from ${reversePath}`;
  }
}

function* reports({ arrivals, submissions, copies }: Ledger): Iterable<string> {
  const failures = new Map<string, number>();
  for (const { token, recipients } of copies.values()) {
    for (const { address, state, reports: told } of recipients) {
      if (state !== "failed" || told.length === 0) continue;
      if (told.length > 1) yield `${token} for ${address} was reported twice: ${told.join(", ")}`;
      const key = `${token} ${address}`;
      failures.set(key, (failures.get(key) ?? 0) + 1);
    }
  }
  for (const [key, told] of toldFailures(arrivals)) {
    const happened = failures.get(key) ?? 0;
    if (told > happened) yield `${key}: ${told} reports of a failure tell of ${happened}`;
  }
  for (const arrival of arrivals) yield* misdirected(arrival, submissions);
}

/** Different reports of a failure that came, by message and recipient. */
function toldFailures(arrivals: Ledger["arrivals"]): ReadonlyMap<string, number> {
  const ids = new Map<string, Set<string>>();
  for (const { token, octets, read } of arrivals) {
    const { messageId } = read;
    if (messageId === null || messageId.host === "sim") continue;
    for (const { recipient, action } of readReport(octets)) {
      if (action !== "failed") continue;
      const key = `${token} ${recipient}`;
      const set = ids.get(key) ?? new Set<string>();
      ids.set(key, set.add(`${messageId.id}@${messageId.host}`));
    }
  }
  return new Map([...ids].map(([key, set]) => [key, set.size]));
}

function* misdirected(
  { token, recipient, octets, read }: Ledger["arrivals"][number],
  submissions: ReadonlyMap<string, Submission>,
): Iterable<string> {
  const { messageId } = read;
  if (messageId === null || messageId.host === "sim") return;
  const told = readReport(octets);
  if (told.length === 0) yield `a report for ${recipient} tells of nobody`;
  const submission = token === null ? undefined : submissions.get(token);
  if (submission === undefined) yield `a report for ${recipient} returns no message`;
  else if (submission.reversePath !== recipient) yield `the report on ${token} went to ${recipient}`;
  else
    for (const each of told)
      if (!submission.recipients.includes(each.recipient)) yield `the report on ${token} tells of ${each.recipient}`;
}

function* bouncedBounces({ arrivals }: Ledger): Iterable<string> {
  for (const { host, reversePath, read } of arrivals) {
    const { messageId } = read;
    if (messageId !== null && messageId.host !== "sim" && reversePath !== null)
      yield `${host} has a report from ${reversePath}`;
  }
}

/** Once all is calm, sessions that hang are given up within their own timeouts, the longest of which is 10 minutes. */
const SETTLING_TIME = 45 * MINUTE;
/** What is due is tried within this time. */
const MOST_LATE = 15 * MINUTE;
/** Looking for what expired in silence takes a minute, and what is being tried is tried to its end. */
const MOST_OVERDUE = 20 * MINUTE;

/** What can be told at any moment: nothing is forgotten, or late, or beyond its bounds. */
export async function inspect(world: World): Promise<Violation[]> {
  const found: Violation[] = [];
  const settled = world.loop.now > world.calmAt + SETTLING_TIME;
  for (const { settings, disk, program, now } of world.nodes) {
    const { name, memory, concurrency, windows } = settings;
    const stats = program?.runner.stats();
    if (stats !== undefined) {
      const over = stats.octets > memory || stats.claimed > windows.window || stats.delivering > concurrency;
      if (over) found.push({ invariant: "own limits are kept", text: `${name}: ${JSON.stringify(stats)}` });
    }
    for (const message of await disk.messages()) {
      const where = `${name}/${message.id}`;
      const expired = message.expiresAt + MOST_OVERDUE < now;
      if (settled && expired) found.push({ invariant: "expiry holds in every state", text: where });
      for (const recipient of message.recipients) {
        if (recipient.state !== "waiting") continue;
        const { attempts, lastOutcome, nextAttempt, index } = recipient;
        if (!Number.isFinite(nextAttempt) || (attempts > 0 && lastOutcome === null)) {
          found.push({ invariant: "what waits has a reason and a due time", text: `${where} ${index}` });
        }
        const late = settled && !message.held && nextAttempt + MOST_LATE < now;
        if (late)
          found.push({ invariant: "nothing due is starved", text: `${where} ${index}, due ${told(nextAttempt)}` });
      }
    }
  }
  return found;
}

function told(at: Instant): string {
  return new Date(at).toISOString();
}

/** What has to be true when the queues are empty and everybody has had the time to hang up. */
export function atRest(world: World): Violation[] {
  const found: Violation[] = [];
  const invariant = "nothing is left behind";
  const { nodes, network, loop, plan } = world;
  for (const { settings, program } of nodes) {
    const { name } = settings;
    if (program === null) {
      found.push({ invariant, text: `${name} is down` });
      continue;
    }
    const { delivering, waiting, claimed, octets, destinations } = program.runner.stats();
    const { idle } = program.pool;
    const { connections } = program.server;
    const open = network.openAt(settings.address);
    const rest = { delivering, waiting, claimed, octets, idle, connections, open };
    if (Object.values(rest).some((count) => count !== 0))
      found.push({ invariant, text: `${name}: ${JSON.stringify(rest)}` });
    if (destinations > plan.domains.length + nodes.length)
      found.push({ invariant, text: `${name}: ${destinations} destinations` });
  }
  const timers = nodes.length * TIMERS;
  if (loop.pending > timers) found.push({ invariant, text: `${loop.pending} timers are set` });
  return found;
}

/** The search for what expired, and the next look into the store. */
const TIMERS = 3;
