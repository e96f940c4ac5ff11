import { type Instant, instant, printable } from "../base/index.ts";
import type { ClientProblem, RecipientResult, Stage } from "../client/index.ts";
import type { CertificateReason, NetProblem } from "../net/index.ts";
import type { DeliveryProblem, Hop, Onward, Outcome, Scope } from "../queue/index.ts";
import { describeReply, formatStatus, type Reply, severity } from "../smtp/index.ts";
import { isTlsFailure } from "./tls-failure.ts";

/** What one host led to for one recipient, and whether it is right to ask the next host. */
export interface Finding {
  readonly outcome: Outcome;
  /** True where the trouble is the host's, so that another may take the message. */
  readonly tryNext: boolean;
}

/** The meaning of one recipient's result in a transaction; `onward` is for what was taken (see `Outcome`). */
export function fromResult(result: RecipientResult, hop: Hop, onward?: Onward): Finding {
  switch (result.kind) {
    case "accepted": {
      const { reply } = result;
      const further = onward === undefined ? {} : { onward };
      return { outcome: { kind: "delivered", reply, hop, ...further }, tryNext: false };
    }
    case "refused":
      return fromRefusal(result.stage, result.reply, hop, result.local === true);
    case "broken":
      return result.uncertain ? fromUncertain(result.problem, hop) : fromProblem(result.problem, hop);
  }
}

/**
 * The meaning of a session that did not come about, or broke before the end of data was sent. `heldUntil`: when less than the host
 * proved before will be believed, where it fell below that.
 */
export function fromProblem(problem: ClientProblem, hop: Hop, heldUntil: Instant | null = null): Finding {
  if (problem.kind === "refused")
    return ruled(fromRefusal(problem.stage, problem.reply, hop, false), problem, heldUntil);
  const { status, text } = describeProblem(problem, hop.host);
  // Before a session stands the trouble is the host's; after that only this connection's.
  const scope = isTransactionStage(stageOf(problem)) ? "connection" : "host";
  return ruled({ outcome: deferred(scope, { text, reply: null, status }, hop), tryNext: true }, problem, heldUntil);
}

/** Where TLS was the trouble, the reason tells what was demanded and by which rule. */
function ruled(finding: Finding, problem: ClientProblem, heldUntil: Instant | null): Finding {
  const { outcome } = finding;
  if (outcome.kind === "delivered" || !isTlsFailure(problem)) return finding;
  const until = heldUntil === null ? "" : `, until ${new Date(heldUntil).toISOString()}`;
  const text = `${outcome.problem.text}; demanded is ${outcome.hop?.rule ?? "TLS"}${until}`;
  return { ...finding, outcome: { ...outcome, problem: { ...outcome.problem, text } } };
}

/**
 * The end of data was sent and its reply never came: it may have been taken. At least once: it is tried again, later and not
 * at once at the next host, for by then a duplicate may be found out (RFC 5321 §4.5.3.2.6, RFC 1047).
 */
function fromUncertain(problem: ClientProblem, hop: Hop): Finding {
  const { text } = describeProblem(problem, hop.host);
  const said = `${text}, after the message was sent: it may have been taken, and will be sent again`;
  return { outcome: deferred("connection", { text: said, reply: null, status: "4.4.2" }, hop), tryNext: false };
}

function fromRefusal(stage: Stage, reply: Reply, hop: Hop, local: boolean): Finding {
  const permanent = severity(reply) === "permanent" && !isTemporaryHere(stage, reply);
  const status = refusalStatus(stage, reply, permanent);
  const who = local ? `${hop.host} cannot take it` : `${hop.host} said at ${STAGE_WORDS[stage]}`;
  const problem = { text: `${who}: ${describeReply(reply)}`, reply: local ? null : reply, status };
  if (local) return { outcome: failed("message", problem, hop), tryNext: true };
  if (!isTransactionStage(stage)) {
    return { outcome: (permanent ? failed : deferred)("host", problem, hop), tryNext: true };
  }
  if (permanent) {
    return { outcome: failed(stage === "rcpt" ? "recipient" : "message", problem, hop), tryNext: false };
  }
  if (isHostTrouble(stage, reply)) return { outcome: deferred("host", problem, hop), tryNext: true };
  // A host that hangs up on one message or recipient may be glad to take others; one that is leaving says so to the next, too.
  if (reply.code === 421) return { outcome: deferred("connection", problem, hop), tryNext: true };
  return { outcome: deferred(stage === "rcpt" ? "recipient" : "message", problem, hop), tryNext: false };
}

/**
 * 421 before a recipient is named is the host's; so is trouble of its mail system (X.3.x save "too big", RFC 3463 §3.4) and 452 at MAIL, where no
 * recipient is at fault yet.
 */
function isHostTrouble(stage: Stage, reply: Reply): boolean {
  if (reply.code === 421) return stage === "mail";
  if (stage === "rcpt") return false;
  if (reply.status === null) return reply.code === 452 && stage === "mail";
  return reply.status.subject === 3 && reply.status.detail !== 4;
}

/**
 * RFC 5321 §4.5.3.1.10: RFC 821 named "too many recipients" 552; at RCPT it is read as 452. And protection that a policy
 * demands may be repaired, or is under attack, so that its refusal is no last word on the message.
 */
function isTemporaryHere(stage: Stage, reply: Reply): boolean {
  if (stage === "starttls" || stage === "auth") return true;
  return stage === "rcpt" && reply.code === 552 && (reply.status === null || isTooMany(reply.status));
}

function isTooMany(status: { readonly subject: number; readonly detail: number }): boolean {
  return status.subject === 5 && status.detail === 3;
}

/** The host takes no more recipients in this transaction; the rest may follow in another (RFC 5321 §4.5.3.1.10). */
export function isTooManyRecipients(result: RecipientResult): boolean {
  if (result.kind !== "refused" || result.stage !== "rcpt") return false;
  if (result.reply.code !== 452 && result.reply.code !== 552) return false;
  return result.reply.status === null || isTooMany(result.reply.status);
}

/** The octets to be sent could not be read here: nothing is wrong with any host. */
export function unreadableBody(hop: Hop): Finding {
  const problem = { text: "the stored message could not be read, as told in the log", reply: null, status: "4.3.0" };
  return { outcome: deferred("message", problem, hop), tryNext: false };
}

/** The host was reached over TLS and does not promise REQUIRETLS (RFC 8689 §4.2.1 step 5). */
export function withoutRequireTls(hop: Hop): Finding {
  const text = `${hop.host} does not offer REQUIRETLS, which the message demands`;
  return { outcome: failed("message", { text, reply: null, status: "5.7.30" }, hop), tryNext: true };
}

/**
 * RFC 8689 §4.2.1: a message that demands TLS and cannot have it fails; it does not wait for something less. That we are stopping in the
 * middle of a handshake says nothing of the host.
 */
export function requireTlsFailure(problem: ClientProblem, hop: Hop): Finding | null {
  if (!isTlsFailure(problem)) return null;
  const { text } = describeProblem(problem, hop.host);
  const said = `${text}; the message demands REQUIRETLS`;
  return { outcome: failed("message", { text: said, reply: null, status: "5.7.10" }, hop), tryNext: true };
}

/** The time for one attempt is over before this host's turn came. */
export function outOfTime(host: string): Outcome {
  const problem = { text: `no time was left to try ${host}`, reply: null, status: "4.4.1" };
  return { kind: "deferred", scope: "connection", problem, hop: null };
}

/** The host was found dead before, maybe by mail for another domain: it is left alone for a while, and that is no attempt. */
export function leftAlone(host: string, until: Instant, text: string): Outcome {
  const told = `${host} is not tried before ${new Date(until).toISOString()}, since: ${text}`;
  return {
    kind: "deferred",
    scope: "host",
    problem: { text: told, reply: null, status: "4.4.1" },
    hop: null,
    turnAt: until,
  };
}

/** There is no turn at the host just now; nothing is wrong with it, nor with the message. */
export function withoutTurn(host: string, turnAt: Instant): Outcome {
  const problem = {
    text: `${host} is given no more at a time; this mail waits for its turn`,
    reply: null,
    status: "4.4.5",
  };
  return { kind: "deferred", scope: "connection", problem, hop: null, turnAt };
}

/** We are stopping: nothing is known and nothing was done. */
export function aborted(): Outcome {
  const problem = { text: "the server is stopping; the attempt was not made", reply: null, status: "4.3.2" };
  return { kind: "deferred", scope: "connection", problem, hop: null };
}

/**
 * What several hosts led to, together: no temporary failure is lost behind a permanent one, and a host of which DNS knew
 * nothing just now may still take it. Among equals a reply tells more than silence, and the best host more than the rest.
 */
export function combine(outcomes: readonly Outcome[], unresolved: readonly string[]): Outcome | null {
  const temporary = outcomes.filter((outcome) => outcome.kind === "deferred");
  const chosen = withTurn(firstTelling(temporary) ?? firstTelling(outcomes), outcomes);
  if (chosen === null || chosen.kind !== "failed" || unresolved.length === 0) return chosen;
  const text = `${chosen.problem.text}; no address is known just now for ${unresolved.join(", ")}`;
  return deferred(chosen.scope, { ...chosen.problem, text, status: "4.4.3" }, chosen.hop);
}

/** It was no attempt only if no host was asked; the next turn is that of the first of them. */
function withTurn(chosen: Outcome | null, outcomes: readonly Outcome[]): Outcome | null {
  if (chosen?.kind !== "deferred") return chosen;
  const { turnAt: _, ...counted } = chosen;
  const turns = outcomes.flatMap((outcome) =>
    outcome.kind !== "deferred" || outcome.turnAt === undefined ? [] : [outcome.turnAt],
  );
  return turns.length < outcomes.length ? counted : { ...counted, turnAt: instant(Math.min(...turns)) };
}

function firstTelling(outcomes: readonly Outcome[]): Outcome | null {
  return outcomes.find((o) => o.kind !== "delivered" && o.problem.reply !== null) ?? outcomes[0] ?? null;
}

function deferred(scope: Scope, problem: DeliveryProblem, hop: Hop | null): Outcome {
  return { kind: "deferred", scope, problem, hop };
}

function failed(scope: Scope, problem: DeliveryProblem, hop: Hop): Outcome {
  return { kind: "failed", scope, problem, hop };
}

const STAGE_WORDS: Record<Stage, string> = {
  connect: "connecting",
  greeting: "its greeting",
  hello: "EHLO",
  starttls: "STARTTLS",
  handshake: "the TLS handshake",
  auth: "AUTH",
  mail: "MAIL FROM",
  rcpt: "RCPT TO",
  data: "DATA",
  body: "the message body",
  end: "the end of data",
  reset: "RSET",
  quit: "QUIT",
};

const CERTIFICATE_WORDS: Record<CertificateReason | "none", string> = {
  name: "is for another name",
  expired: "is not valid at this time",
  untrusted: "is by no authority that is trusted here",
  dane: "matches none of its TLSA records",
  pin: "has another key than the pinned ones",
  none: "does not prove what is demanded",
};

const TRANSACTION_STAGES: ReadonlySet<Stage> = new Set(["mail", "rcpt", "data", "body", "end", "reset", "quit"]);

function isTransactionStage(stage: Stage): boolean {
  return TRANSACTION_STAGES.has(stage);
}

function stageOf(problem: ClientProblem): Stage {
  if (problem.kind === "tlsNotOffered") return "starttls";
  return problem.kind === "authNotOffered" ? "auth" : problem.stage;
}

function describeProblem(problem: ClientProblem, host: string): { readonly status: string; readonly text: string } {
  switch (problem.kind) {
    case "network":
      return describeNetwork(problem.problem, problem.stage, host);
    case "refused":
      return {
        status: refusalStatus(problem.stage, problem.reply, false),
        text: `${host} said at ${STAGE_WORDS[problem.stage]}: ${describeReply(problem.reply)}`,
      };
    case "protocol":
      return {
        status: "4.5.0",
        text: `${host} broke the protocol at ${STAGE_WORDS[problem.stage]}: ${printable(problem.detail)}`,
      };
    case "timeout":
      if (problem.stage === "body") return { status: "4.4.2", text: `${host} took the message too slowly` };
      return {
        status: problem.stage === "connect" ? "4.4.1" : "4.4.2",
        text: `${host} did not answer in time at ${STAGE_WORDS[problem.stage]}`,
      };
    case "closed":
      return { status: "4.4.2", text: `${host} closed the connection at ${STAGE_WORDS[problem.stage]}` };
    case "tlsNotOffered":
      return { status: "4.7.4", text: `${host} does not offer STARTTLS, which must be had` };
    case "authNotOffered":
      return { status: "4.7.4", text: `${host} offers no way to authenticate that is known here` };
  }
}

/** Our own words for what the network did: local detail stays in the log, because this text may go into a report. */
function describeNetwork(problem: NetProblem, stage: Stage, host: string) {
  switch (problem.kind) {
    case "tls":
      return { status: "4.7.5", text: `the TLS handshake with ${host} failed` };
    case "certificate":
      return { status: "4.7.5", text: `the certificate of ${host} ${CERTIFICATE_WORDS[problem.reason ?? "none"]}` };
    case "timeout":
      return { status: stage === "connect" ? "4.4.1" : "4.4.2", text: `${host} did not answer in time` };
    case "refused":
      return { status: "4.4.1", text: `${host} refused the connection` };
    case "unreachable":
      return { status: "4.4.1", text: `${host} cannot be reached` };
    default:
      return {
        status: stage === "connect" ? "4.4.1" : "4.4.2",
        text: `the connection to ${host} broke at ${STAGE_WORDS[stage]}`,
      };
  }
}

/** The remote's enhanced status where its class fits, else the nearest to its code (RFC 3463, RFC 5248 §2). */
function refusalStatus(stage: Stage, reply: Reply, permanent: boolean): string {
  const kind = permanent ? 5 : 4;
  if (reply.status !== null && reply.status.class !== 2) return formatStatus({ ...reply.status, class: kind });
  return `${kind}.${derivedDetail(stage, reply.code)}`;
}

function derivedDetail(stage: Stage, code: number): string {
  if (stage === "starttls") return "7.4";
  if (stage === "rcpt") {
    const atRecipient = new Map([
      [450, "2.0"],
      [452, "5.3"],
      [550, "1.1"],
      [551, "1.6"],
      [552, "5.3"],
      [553, "1.3"],
      [556, "1.10"],
    ]);
    const detail = atRecipient.get(code);
    if (detail !== undefined) return detail;
  }
  const anywhere = new Map([
    [421, "3.2"],
    [451, "3.0"],
    [452, "3.1"],
    [500, "5.2"],
    [501, "5.4"],
    [502, "5.1"],
    [503, "5.1"],
    [504, "5.4"],
    [521, "3.2"],
    [530, "7.0"],
    [535, "7.8"],
    [552, "3.4"],
    [553, "1.7"],
    [555, "5.4"],
    [556, "1.10"],
  ]);
  return anywhere.get(code) ?? "0.0";
}
