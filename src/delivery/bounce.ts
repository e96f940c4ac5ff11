import { type Clock, concatBytes, type Duration, type Instant, type Log, later, silentLog } from "../base/index.ts";
import { formatReport, HeaderScanner, type ReportedRecipient } from "../message/index.ts";
import {
  type Body,
  deliverByTime,
  type NewMessage,
  type QueuedMessage,
  type QueueId,
  type Reporter,
  type ReportItem,
} from "../queue/index.ts";
import { formatMailbox } from "../smtp/index.ts";
import { events } from "./events.ts";
import { asciiDomain } from "./route.ts";

/** Larger messages are returned by their header section alone, whatever RET says (RFC 3461 §6.2 leaves it to us). */
const MAX_RETURNED = 256 * 1024;
/** Octets of a header section that are returned; the rest is cut between fields. */
const MAX_RETURNED_HEADER = 64 * 1024;
const CHUNK = 64 * 1024;

export interface ReporterOptions {
  /** Our own name. */
  readonly hostname: string;
  readonly clock: Clock;
  /** A new id of the queue that the reports go into. */
  readonly nextId: () => QueueId;
  /** How long a report may wait in the queue, milliseconds, as it counts now. */
  readonly lifetime: () => Duration;
  /** Octets up to which RET=FULL returns the whole message. */
  readonly maxReturned?: number;
  readonly log?: Log;
}

/**
 * Writes the report that goes back to the sender (RFC 3464, RFC 5321 §6.1): one for all that an attempt led to, each recipient with
 * its own action. Who is to be told of what was decided before (`queue/report-duty.ts`); that there is a reverse-path, too.
 */
export function createReporter(options: ReporterOptions): Reporter {
  const log = options.log ?? silentLog;
  const hostname = asciiDomain(options.hostname) ?? options.hostname;
  return {
    async report(message, body, items) {
      if (message.reversePath === null) throw new Error("a report needs somebody to go to");
      const { clock } = options;
      const id = options.nextId();
      const at = clock.now();
      const formatted = formatReport({
        id,
        hostname,
        to: message.reversePath,
        at,
        arrived: message.receivedAt,
        deliverBy: deliverByTime(message),
        futureRelease: futureRelease(message),
        envelopeId: message.parameters.envid ?? null,
        recipients: items.map((item) => reported(item, message, at)),
        returned: await returnedOctets(message, body, items, options.maxReturned ?? MAX_RETURNED),
        international: message.parameters.smtputf8 === true,
      });
      const report: NewMessage = {
        id,
        receivedAt: at,
        expiresAt: later(at, options.lifetime()),
        reversePath: null,
        parameters: {
          ...(formatted.eightBit ? { body: "8BITMIME" as const } : {}),
          ...(formatted.smtputf8 ? { smtputf8: true as const } : {}),
          // RFC 8689 §5: a report on such a message is protected like the message.
          ...(message.parameters.requireTls === true ? { requireTls: true as const } : {}),
          // RFC 6710 §4.6: as urgent as what it tells of.
          ...(message.parameters.priority === undefined ? {} : { priority: message.parameters.priority }),
        },
        origin: { service: "bounce", sessionId: null, address: null, hello: null, identity: null, tls: null },
        recipients: [{ mailbox: message.reversePath, parameters: {} }],
        size: formatted.octets.length,
      };
      const to = formatMailbox(message.reversePath);
      const actions = [...new Set(items.map(({ action }) => action))];
      log.info(events.reported, { id: message.id, report: id, to, actions, recipients: items.length });
      return { message: report, body: inChunks(formatted.octets) };
    },
  };
}

/** RFC 4865 §5.1.2: what was asked for, as it was asked for. */
function futureRelease({ parameters: { hold } }: QueuedMessage): string | null {
  if (hold === undefined) return null;
  return "for" in hold ? `for;${hold.for}` : `until;${hold.until}`;
}

function reported({ recipient, outcome, action }: ReportItem, message: QueuedMessage, at: Instant): ReportedRecipient {
  const { hop } = outcome;
  const { reply } = outcome.kind === "delivered" ? outcome : outcome.problem;
  // A host was asked, over the network; without one the recipient expired in the queue, at a time not known here.
  const asked = hop !== null && hop.port !== null;
  return {
    action,
    mailbox: recipient.mailbox,
    original: recipient.parameters.orcpt ?? null,
    status: outcome.kind === "delivered" ? "2.0.0" : delayStatus(action, message, outcome.problem.status, at),
    text:
      outcome.kind === "delivered"
        ? SUCCESS_TEXT[outcome.onward === undefined ? "here" : "onward"]
        : outcome.problem.text,
    // RFC 3464 §2.3.5: only where a remote MTA decided.
    remoteHost: asked && reply !== null ? hop.host : null,
    reply,
    lastAttempt: asked ? at : null,
    retryUntil: action === "delayed" ? message.expiresAt : null,
  };
}

const SUCCESS_TEXT = {
  here: "delivered to the mailbox",
  onward: "handed on to a server that will send no report of its own",
};

/** RFC 2852 §4.1.3: a deliver-by-time that has come is what the delay is told by. */
function delayStatus(action: ReportItem["action"], message: QueuedMessage, status: string, at: Instant): string {
  const until = deliverByTime(message);
  return action === "delayed" && until !== null && at >= until ? "4.4.7" : status;
}

async function returnedOctets(message: QueuedMessage, body: Body, items: readonly ReportItem[], maxReturned: number) {
  // RFC 3461 §6.2: without a failure the header section alone. RFC 8689 §5: RET=FULL is disregarded for a message that demands TLS.
  const failure = items.some(({ action }) => action === "failed");
  const full = failure && message.parameters.ret === "FULL" && message.parameters.requireTls !== true;
  if (full && body.size <= maxReturned) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body.chunks()) chunks.push(chunk);
    return { kind: "full" as const, octets: concatBytes(chunks) };
  }
  return { kind: "headers" as const, octets: await headerSection(body) };
}

/** The fields of the header section; at most the bound, cut between fields. */
async function headerSection(body: Body): Promise<Uint8Array> {
  const scanner = new HeaderScanner(MAX_RETURNED_HEADER);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body.chunks()) {
    chunks.push(chunk);
    if (scanner.push(chunk) !== "open") break;
  }
  scanner.end();
  return concatBytes(chunks).subarray(0, scanner.size);
}

function inChunks(octets: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < octets.length; at += CHUNK) chunks.push(octets.slice(at, at + CHUNK));
  return chunks;
}
