import { type Clock, concatBytes, type Duration, type Log, later, silentLog } from "../base/index.ts";
import { formatReport, HeaderScanner, type ReportedRecipient } from "../message/index.ts";
import type { Body, NewMessage, Outcome, QueuedMessage, QueueId, Recipient, Reporter } from "../queue/index.ts";
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
  /** How long a report may wait in the queue, milliseconds. */
  readonly lifetime: Duration;
  /** Octets up to which RET=FULL returns the whole message. */
  readonly maxReturned?: number;
  readonly log?: Log;
}

type Failure = { readonly recipient: Recipient; readonly outcome: Outcome };

/**
 * Writes the report that goes back for recipients given up (RFC 3464, RFC 5321 §6.1). None for a null reverse-path, which is how
 * mail loops of reports end, and none for recipients whose NOTIFY leaves failures out (RFC 3461 §4.1).
 */
export function createReporter(options: ReporterOptions): Reporter {
  const log = options.log ?? silentLog;
  const hostname = asciiDomain(options.hostname) ?? options.hostname;
  return {
    async report(message, body, failed) {
      const wanted = failed.filter(({ recipient }) => wantsFailure(recipient));
      if (message.reversePath === null || wanted.length === 0) {
        const reason = message.reversePath === null ? "null reverse-path" : "NOTIFY";
        log.info(events.unreported, { id: message.id, reason, recipients: failed.length });
        return null;
      }
      const { clock } = options;
      const id = options.nextId();
      const at = clock.now();
      const formatted = formatReport({
        kind: "failed",
        id,
        hostname,
        to: message.reversePath,
        at,
        arrived: message.receivedAt,
        envelopeId: message.parameters.envid ?? null,
        recipients: wanted.map((failure) => reported(failure, at)),
        returned: await returnedOctets(message, body, options.maxReturned ?? MAX_RETURNED),
        international: message.parameters.smtputf8 === true,
      });
      const report: NewMessage = {
        id,
        receivedAt: at,
        expiresAt: later(at, options.lifetime),
        reversePath: null,
        parameters: {
          ...(formatted.eightBit ? { body: "8BITMIME" as const } : {}),
          ...(formatted.smtputf8 ? { smtputf8: true as const } : {}),
          // RFC 8689 §5: a report on such a message is protected like the message.
          ...(message.parameters.requireTls === true ? { requireTls: true as const } : {}),
        },
        origin: { service: "bounce", sessionId: null, address: null, hello: null, identity: null, tls: null },
        recipients: [{ mailbox: message.reversePath, parameters: {} }],
        size: formatted.octets.length,
      };
      const to = formatMailbox(message.reversePath);
      log.info(events.reported, { id: message.id, report: id, to, recipients: wanted.length });
      return { message: report, body: inChunks(formatted.octets) };
    },
  };
}

function wantsFailure(recipient: Recipient): boolean {
  const { notify } = recipient.parameters;
  return notify === undefined || notify.includes("FAILURE");
}

function reported({ recipient, outcome }: Failure, at: ReturnType<Clock["now"]>): ReportedRecipient {
  const common = { mailbox: recipient.mailbox, original: recipient.parameters.orcpt ?? null };
  if (outcome.kind === "delivered") throw new Error("a delivered recipient is no failure");
  const { problem, hop } = outcome;
  const asked = hop !== null && hop.port !== null;
  return {
    ...common,
    status: problem.status,
    text: problem.text,
    // RFC 3464 §2.3.5: only where a remote MTA decided.
    remoteHost: asked && problem.reply !== null ? hop.host : null,
    reply: problem.reply,
    // With a host in the outcome the attempt has ended just now; else (expired in the queue) its time is not known here.
    lastAttempt: asked ? at : null,
  };
}

async function returnedOctets(message: QueuedMessage, body: Body, maxReturned: number) {
  // RFC 8689 §5: RET=FULL is disregarded for a message that demands TLS.
  const full = message.parameters.ret === "FULL" && message.parameters.requireTls !== true;
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
