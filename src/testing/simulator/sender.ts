import { type Clock, encodeUtf8, type Log, MINUTE, unwrap } from "../../base/index.ts";
import { type ClientTls, type OutgoingMessage, openSession } from "../../client/index.ts";
import { type MailParameters, parseMailbox, type RcptParameters } from "../../smtp/index.ts";
import type { Chance } from "./chance.ts";
import { MX_PORT, SUBMISSION_PORT } from "./configuration.ts";
import type { Ledger, Submission } from "./ledger.ts";
import type { Life } from "./loop.ts";
import type { SimulatedNetwork } from "./network.ts";
import { latin1 } from "./read-message.ts";
import { simulatedClientUpgrade } from "./tls.ts";
import { USER } from "./users.ts";

export interface SenderWorld {
  readonly chance: Chance;
  readonly network: SimulatedNetwork;
  readonly ledger: Ledger;
  readonly life: Life;
  readonly clock: Clock;
  readonly log: Log;
  /** Where mail may go. */
  readonly domains: readonly string[];
}

export interface Target {
  readonly node: string;
  readonly address: string;
}

/** A message with what is asked of its delivery. */
export interface DrawnMessage {
  readonly submission: Submission;
  readonly notify: RcptParameters;
  readonly wishes: Pick<MailParameters, "priority" | "by">;
}

const TIMEOUT = 30_000;

/** A program that hands in messages, one after the other over one connection, and never tries again: what it was told counts. */
export async function handIn(target: Target, messages: readonly DrawnMessage[], world: SenderWorld): Promise<void> {
  const { chance, network, life, clock, log } = world;
  const who = messages[0]?.submission.from ?? "relay";
  const from = `${who === "outsider" ? "198.51.100" : "10.9.0"}.${chance.whole(1, 200)}`;
  const isServer = who === "relay" || who === "outsider";
  const port = isServer ? MX_PORT : SUBMISSION_PORT;
  const connected = await network.connector(from, life)({ addresses: [target.address], port, timeout: TIMEOUT });
  if (!connected.ok) return;
  const requireTls = messages.some(({ submission }) => submission.requireTls);
  const session = await openSession({
    stream: connected.value,
    hello: "client.sim",
    tls: clientTls(requireTls || !isServer || chance.is(0.5)),
    ...(who === "user" ? { auth: USER } : {}),
    upgrade: simulatedClientUpgrade,
    clock,
    log,
    chunking: chance.pick(["auto", "never"]),
  });
  if (!session.ok) return;
  for (const message of messages) {
    if (!session.value.usable) return;
    const { submission } = message;
    const results = await session.value.send(outgoing(message));
    for (const [at, result] of results.entries()) {
      const recipient = submission.recipients[at] ?? "";
      const answer = result.kind === "broken" ? "unknown" : result.kind;
      submission.answers.set(recipient, answer);
    }
  }
  await session.value.quit();
}

function clientTls(wanted: boolean): ClientTls {
  if (!wanted) return { kind: "none" };
  return {
    kind: "opportunistic",
    options: { serverName: null, verify: { kind: "nothing" }, timeout: 5 * MINUTE },
  };
}

function outgoing({ submission, notify, wishes }: DrawnMessage): OutgoingMessage {
  const { octets, recipients, reversePath, requireTls } = submission;
  const eightBit = /[\x80-\xff]/.test(latin1(octets));
  return {
    reversePath: reversePath === null ? null : unwrap(parseMailbox(reversePath)),
    parameters: {
      ...wishes,
      ...(eightBit ? { body: "8BITMIME" as const } : {}),
      ...(requireTls ? { requireTls: true as const } : {}),
    },
    recipients: recipients.map((text) => ({ mailbox: unwrap(parseMailbox(text)), parameters: notify })),
    body: { size: octets.length, chunks: () => [octets] },
  };
}

/** A message to a few mailboxes, some of which nobody has. */
export function drawSubmission(
  token: string,
  { node, from }: Pick<Submission, "node" | "from">,
  world: SenderWorld,
): DrawnMessage {
  const { chance, domains, ledger } = world;
  const recipients = new Set<string>();
  const count = chance.is(0.7) ? 1 : chance.whole(2, 12);
  for (let n = 0; n < count; n++) {
    const user = chance.is(0.08) ? `nobody${n}` : `u${chance.whole(0, 9)}`;
    recipients.add(`${user}@${chance.pick(domains)}`);
  }
  const reversePath = chance.is(0.05) ? null : `${chance.is(0.1) ? "nobody" : "u1"}@${chance.pick(domains)}`;
  const submission: Submission = {
    token,
    node,
    reversePath,
    recipients: [...recipients],
    // A report, or what looks like one, is not lost for want of TLS (RFC 8689 §5).
    from,
    requireTls: reversePath !== null && chance.is(0.03),
    octets: drawText(token, chance),
    answers: new Map(),
  };
  ledger.submissions.set(token, submission);
  const notify = chance.is(0.8)
    ? {}
    : { notify: chance.pick([["NEVER"], ["FAILURE"], ["SUCCESS", "FAILURE"], ["DELAY"]] as const) };
  return { submission, notify, wishes: drawWishes(chance) };
}

/** Some are urgent, some are to be returned or told of when they are late (RFC 6710, RFC 2852). */
function drawWishes(chance: Chance): DrawnMessage["wishes"] {
  const priority = chance.is(0.1) ? { priority: chance.whole(-9, 9) } : {};
  if (!chance.is(0.08)) return priority;
  return {
    ...priority,
    by: { seconds: chance.pick([60, 1200, 7200]), mode: chance.pick(["R", "N"] as const), trace: chance.is(0.3) },
  };
}

/** Lines of all kinds: with dots in front, empty, long, with octets beyond ASCII. */
function drawText(token: string, chance: Chance): Uint8Array {
  const lines = [`X-Sim-Token: ${token}`, `Message-ID: <${token}@sim>`, "From: u1@sim.test", "Subject: a world", ""];
  const count = chance.is(0.03) ? chance.whole(500, 2000) : chance.whole(0, 12);
  for (let n = 0; n < count; n++) {
    lines.push(
      chance.pick([".", "..", ".x", "", "plain text of a message", "y".repeat(chance.whole(1, 200)), `line ${n}`]),
    );
  }
  if (chance.is(0.05)) lines.push("na\u00efve");
  return encodeUtf8(`${lines.join("\r\n")}\r\n`);
}
