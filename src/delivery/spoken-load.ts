import type { Instant } from "../base/index.ts";
import type { OutgoingMessage } from "../client/index.ts";
import { type Body, type Onward, type Recipient, remainingTerm } from "../queue/index.ts";
import type { Extensions, RcptParameters } from "../smtp/index.ts";

/** What is to be sent, and to whom. */
export interface Load extends Omit<OutgoingMessage, "recipients" | "body"> {
  readonly body: Body;
  readonly recipients: readonly Recipient[];
  /** When the message came, which terms count from. */
  readonly receivedAt: Instant;
}

interface NextHop {
  readonly protocol: "smtp" | "lmtp";
  readonly extensions: Extensions;
}

/**
 * The load as this hop is told it, now. What an extension is needed for that the hop lacks is dropped or refused by the client;
 * here is what changes on the way.
 */
export function spokenLoad(load: Load, hop: NextHop, now: Instant): Load {
  const { requireTls, by, hold, ...rest } = load.parameters;
  if (requireTls === undefined && by === undefined && hold === undefined) return load;
  const { extensions } = hop;
  // RFC 8689 §5: a report that should be protected goes on all the same where the next hop cannot promise it.
  const keepsTls = requireTls === true && (load.reversePath !== null || extensions.has("REQUIRETLS"));
  // RFC 2852 §4.1.4. An LMTP server delivers, it is no relay that has to know of the time.
  const timed = by !== undefined && (hop.protocol === "smtp" || extensions.has("DELIVERBY"));
  const term = timed ? remainingTerm(load, now) : undefined;
  const parameters = {
    ...rest,
    ...(keepsTls ? { requireTls } : {}),
    ...(term === undefined ? {} : { by: term }),
    // `hold` was kept here, and no later hop is to keep it again (RFC 4865 §3).
  };
  const unwatched = by?.mode === "N" && (term?.seconds ?? 0) > 0 && !extensions.has("DELIVERBY");
  return unwatched ? { ...load, parameters, recipients: load.recipients.map(withDelay) } : { ...load, parameters };
}

/** RFC 2852 §4.1.4.2: who does not know BY is asked to tell of delays, against RFC 3461 §5.2.1 (c). */
function withDelay(recipient: Recipient): Recipient {
  const { notify = ["FAILURE"] } = recipient.parameters;
  if (notify.includes("NEVER") || notify.includes("DELAY")) return recipient;
  const asked: NonNullable<RcptParameters["notify"]> = [...notify, "DELAY"];
  return { ...recipient, parameters: { ...recipient.parameters, notify: asked } };
}

/** What the hop promises that takes it; undefined where the way ends there: an LMTP server that leaves reports to us. */
export function onwardOf(protocol: NextHop["protocol"], extensions: Extensions): Onward | undefined {
  const dsn = extensions.has("DSN");
  return protocol === "lmtp" && !dsn ? undefined : { dsn, deliverBy: extensions.has("DELIVERBY") };
}
