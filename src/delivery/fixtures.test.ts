import { instant, unwrap } from "../base/index.ts";
import type { QueuedMessage, QueueId } from "../queue/index.ts";
import { parseMailbox } from "../smtp/index.ts";

/** A message as the tests of this folder queue it: from ann@here.test to `recipients`. */
export function fixtureMessage(
  recipients: readonly string[],
  parameters: QueuedMessage["parameters"] = {},
): QueuedMessage {
  return {
    // Ids are checked where they are read from outside; this one only has to be one.
    id: "00000000001" as QueueId,
    receivedAt: instant(1_795_312_700_000),
    expiresAt: instant(1_795_712_700_000),
    reversePath: unwrap(parseMailbox("ann@here.test")),
    parameters,
    origin: { service: "submission", sessionId: null, address: null, hello: null, identity: null, tls: null },
    size: 100,
    held: false,
    recipients: recipients.map((address, index) => ({
      mailbox: unwrap(parseMailbox(address)),
      parameters: {},
      index,
      state: "waiting",
      attempts: 0,
      nextAttempt: instant(0),
      lastOutcome: null,
      warned: false,
    })),
  };
}
