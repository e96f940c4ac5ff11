import { asError, type Instant, type Log, printable } from "../base/index.ts";
import {
  type ClientProblem,
  type ClientSession,
  type LeaseOptions,
  mayBegin,
  type RecipientResult,
  takeBatch,
  wasDead,
} from "../client/index.ts";
import { type Hop, type Limit, noLimit, type Recipient } from "../queue/index.ts";
import { type DialContext, openFor } from "./dial.ts";
import { events } from "./events.ts";
import { fitMessage, fits } from "./fit.ts";
import {
  type Finding,
  fromProblem,
  fromResult,
  isTooManyRecipients,
  requireTlsFailure,
  unreadableBody,
  withoutRequireTls,
} from "./outcome.ts";
import { type PlannedAttempt, sessionKey } from "./plan.ts";
import { type Load, onwardOf, spokenLoad } from "./spoken-load.ts";
import { fellBelow, isTlsFailure } from "./tls-failure.ts";
import { provenBy } from "./tls-requirement.ts";

/** What one host led to. */
export interface AttemptResult {
  /** One for each recipient of the load, in order. */
  readonly findings: readonly Finding[];
  /** Why there was no session, null where there was one. */
  readonly problem: ClientProblem | null;
}

/** New connections for what is left after sessions that the host ended between transactions: one that ends each is not hammered. */
const MOST_AFTER_GOODBYES = 10;

/**
 * Tries one host: on an idle session where one fits, else on a new connection. An idle session that proves dead before it
 * answered MAIL says nothing of the host, so the host is asked again at once on a new one. Where the host takes so many
 * transactions in one session and no more, the rest goes by the next: whether it said so before (RFC 9422), or ends a session that took
 * something (421, RFC 5321 §3.8) and lets the next one in.
 */
export async function attemptHost(
  attempt: PlannedAttempt,
  load: Load,
  context: DialContext,
  limit: Limit = noLimit,
): Promise<AttemptResult> {
  const findings: Finding[] = [];
  let problem: ClientProblem | null = null;
  let rest = load.recipients.map((recipient, place) => ({ recipient, place }));
  const { connections, messagesPerConnection } = limit;
  const host = connections === null ? null : { name: `${attempt.host.toLowerCase()} ${attempt.port}`, connections };
  let fresh = false;
  let goodbyes = 0;
  while (rest.length > 0) {
    const part = { ...load, recipients: rest.map(({ recipient }) => recipient) };
    const result = await onOneSession(attempt, part, context, {
      fresh,
      maxTransactions: messagesPerConnection,
      host,
    });
    fresh = result.stale && !fresh && !context.signal.aborted;
    if (fresh) continue;
    problem = result.problem;
    if (result.goodbye !== null) goodbyes++;
    const isLast = goodbyes > MOST_AFTER_GOODBYES || context.signal.aborted;
    const found = rest.map((_, i) => result.findings[i] ?? (isLast ? result.goodbye : null));
    for (const [i, { place }] of rest.entries()) {
      const finding = found[i] ?? null;
      if (finding !== null) findings[place] = finding;
    }
    rest = rest.filter((_, i) => found[i] === null);
    fresh = result.goodbye !== null;
  }
  logResult(attempt, { findings, problem }, context.log);
  return { findings, problem };
}

/** What one session led to. */
interface SessionResult {
  /** Null: this recipient's turn did not come, because the session may carry no more. */
  readonly findings: readonly (Finding | null)[];
  readonly problem: ClientProblem | null;
  /** The session had been idle and proved dead. */
  readonly stale: boolean;
  /** What it means that the host ended the session, for those whose turn did not come by that; null where it did not. */
  readonly goodbye: Finding | null;
}

async function onOneSession(
  attempt: PlannedAttempt,
  load: Load,
  context: DialContext,
  options: LeaseOptions,
): Promise<SessionResult> {
  const { pool, trustRound } = context.dialling;
  const leased = await pool.lease(`${trustRound} ${sessionKey(attempt)}`, () => openFor(attempt, context), options);
  if (!leased.ok) {
    const hop = hopOf(attempt, null, null);
    const demanded = attempt.requirement.requireTls ? requireTlsFailure(leased.error, hop) : null;
    const finding = demanded ?? fromProblem(leased.error, hop, heldUntil(attempt, leased.error, context));
    return { findings: load.recipients.map(() => finding), problem: leased.error, stale: false, goodbye: null };
  }
  const lease = leased.value;
  try {
    const { session } = lease;
    const hop = hopOf(attempt, session, context.dialling.peers.get(session) ?? null);
    if (attempt.requirement.requireTls && !session.extensions.has("REQUIRETLS")) {
      const finding = withoutRequireTls(hop);
      return { findings: load.recipients.map(() => finding), problem: null, stale: false, goodbye: null };
    }
    const now = context.dialling.clock.now();
    const spoken = spokenLoad(load, { protocol: attempt.protocol, extensions: session.extensions }, now);
    const results = await transactions(session, spoken, context);
    const told = results.filter((result) => typeof result === "object");
    const stale = lease.reused && told.length === results.length && wasDead(told);
    const onward = onwardOf(attempt.protocol, session.extensions);
    const findings = results.map((each) => {
      if (each === "notBegun" || each === "leftOver") return null;
      return each === "unreadable" ? unreadableBody(hop) : fromResult(each, hop, onward);
    });
    const goodbye = results.includes("leftOver") ? fromProblem({ kind: "closed", stage: "mail" }, hop) : null;
    return { findings, problem: null, stale, goodbye };
  } finally {
    lease.release();
  }
}

/** Notes a host that no longer shows what it proved, and tells until when it is held to that; null for any other trouble. */
function heldUntil(attempt: PlannedAttempt, problem: ClientProblem, { dialling, log }: DialContext): Instant | null {
  const { host, domain, requirement } = attempt;
  if (dialling.memory === null || domain === null || !fellBelow(requirement, problem)) return null;
  const until = dialling.memory.fell(domain, host.toLowerCase());
  log.warn(events.downgradeHeld, { host, domain, rule: requirement.rule, until: new Date(until).toISOString() });
  return until;
}

/**
 * "unreadable": the stored body could not be read, so the transaction never came to its end. "notBegun": the session may carry no
 * more transactions. "leftOver": the host ended it after it had taken others.
 */
type TransactionResult = RecipientResult | "unreadable" | "notBegun" | "leftOver";

type Entry = Recipient & { readonly place: number };

/**
 * Sends to all recipients in as few transactions as the host takes: those it has no room for in one follow in the next
 * (RFC 5321 §4.5.3.1.10), as long as each takes some. A body that breaks takes nothing away from those who have it already.
 */
async function transactions(
  session: ClientSession,
  load: Load,
  context: DialContext,
): Promise<readonly TransactionResult[]> {
  const results: TransactionResult[] = [];
  let rest: readonly Entry[] = load.recipients.map((recipient, place) => ({ ...recipient, place }));
  const { extensions } = session;
  const fitted = fits(load.parameters, extensions)
    ? load
    : await unlessUnreadable(() => fitMessage(load, extensions, context.dialling.eightBit), context);
  if (fitted === "unreadable") return rest.map(() => fitted);
  let hasTaken = false;
  while (rest.length > 0) {
    const { now, later } = takeBatch(rest, extensions);
    const answers = await unlessUnreadable(
      () => session.send({ ...load, ...fitted, recipients: now }, context.signal),
      context,
    );
    if (answers === "unreadable") {
      for (const { place } of rest) results[place] = answers;
      break;
    }
    // The host is leaving, between transactions: it has heard nothing of these.
    if (hasTaken && wasDead(answers)) {
      for (const { place } of rest) results[place] = "leftOver";
      break;
    }
    const progress = answers.some(({ kind }) => kind === "accepted");
    hasTaken ||= progress;
    const again: Entry[] = [];
    for (const [i, entry] of now.entries()) {
      const answer = answers[i];
      if (answer === undefined) throw new Error("a transaction gave fewer results than it had recipients");
      results[entry.place] = answer;
      if (progress && session.usable && isTooManyRecipients(answer)) again.push(entry);
    }
    rest = [...again, ...later];
    if (rest.length > 0 && !session.usable) {
      const broken = { kind: "broken", problem: { kind: "closed", stage: "mail" }, uncertain: false } as const;
      for (const { place } of rest) results[place] ??= hasTaken ? "leftOver" : broken;
      break;
    }
    if (!mayBegin(session)) {
      for (const { place } of rest) results[place] = "notBegun";
      break;
    }
  }
  return results;
}

async function unlessUnreadable<T>(action: () => Promise<T>, { log }: DialContext): Promise<T | "unreadable"> {
  try {
    return await action();
  } catch (error) {
    log.error(events.bodyBroke, { error: asError(error) });
    return "unreadable";
  }
}

function hopOf(attempt: PlannedAttempt, session: ClientSession | null, address: string | null): Hop {
  const tls = session?.tls ?? null;
  return {
    host: attempt.host,
    address: address,
    port: attempt.port,
    tls: tls === null ? null : `${tls.version} ${tls.cipher}`,
    rule: attempt.requirement.rule,
  };
}

function logResult(attempt: PlannedAttempt, { findings, problem }: AttemptResult, log: Log): void {
  const { host, requirement } = attempt;
  const first = findings[0]?.outcome;
  if (problem !== null) {
    const said = first === undefined || first.kind === "delivered" ? "" : first.problem.text;
    const detail = problem.kind === "network" ? printable(problem.problem.detail) : problem.kind;
    const kind = isTlsFailure(problem) ? "tls" : problem.kind;
    log.info(events.hostFailed, { host, rule: requirement.rule, kind, problem: printable(said), detail });
    return;
  }
  const accepted = findings.filter(({ outcome }) => outcome.kind === "delivered").length;
  const { address, tls } = first?.hop ?? { address: null, tls: null };
  const refused = findings.length - accepted;
  const proven = provenBy(requirement, tls !== null);
  log.info(events.transaction, { host, address, tls, rule: requirement.rule, proven, accepted, refused });
}
