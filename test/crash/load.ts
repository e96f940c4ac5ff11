// The senders of a crash run.
import { setTimeout as sleep } from "node:timers/promises";
import { unwrap } from "../../src/base/index.ts";
import { type ClientSession, openSession, type RecipientResult } from "../../src/client/index.ts";
import { connect } from "../../src/net/index.ts";
import { parseMailbox } from "../../src/smtp/index.ts";
import type { Ledger } from "./ledger.ts";
import { type TestMessage, testMessage } from "./messages.ts";

/** After a refusal, milliseconds. */
const PAUSE = 20;

export interface LoadOptions {
  readonly port: number;
  readonly senders: number;
  readonly ledger: Ledger;
  /** A 250 was read, and is in the books. */
  readonly onAnswered: () => void;
}

/** Sends until the daemon is gone. */
export async function runLoad(options: LoadOptions): Promise<void> {
  await inParallel(options.senders, () => sendUntilGone(options));
}

/** Sends until `over`, whatever is refused and however often the daemon goes; the result is how often each code refused. */
export async function runStubbornLoad(options: LoadOptions, over: () => boolean): Promise<ReadonlyMap<number, number>> {
  const refusals = new Map<number, number>();
  await inParallel(options.senders, async () => {
    while (!over()) {
      const code = await sendUntilGone(options, over);
      if (code !== null) refusals.set(code, (refusals.get(code) ?? 0) + 1);
      await sleep(PAUSE);
    }
  });
  return refusals;
}

async function inParallel(count: number, act: () => Promise<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: count }, act));
}

/** The result is the code that refused a message, if one did. */
async function sendUntilGone(
  { port, ledger, onAnswered }: LoadOptions,
  over: () => boolean = () => false,
): Promise<number | null> {
  const session = await open(port);
  try {
    while (session?.usable === true && !over()) {
      const message = testMessage(ledger.nextNumber());
      const results = await send(session, message);
      const other = results.find(({ kind }) => kind !== "accepted");
      if (other !== undefined) return other.kind === "refused" ? other.reply.code : null;
      ledger.acknowledged(message);
      onAnswered();
    }
    return null;
  } finally {
    session?.destroy();
  }
}

/** Null where nobody answers. */
async function open(port: number): Promise<ClientSession | null> {
  const stream = await connect({ addresses: ["127.0.0.1"], port, timeout: 2000 });
  if (!stream.ok) return null;
  const session = await openSession({ stream: stream.value, hello: "load.test", tls: { kind: "none" } });
  return session.ok ? session.value : null;
}

async function send(session: ClientSession, message: TestMessage): Promise<readonly RecipientResult[]> {
  const { octets } = message;
  return await session.send({
    reversePath: unwrap(parseMailbox(message.sender)),
    parameters: {},
    recipients: [...message.recipients, ...message.refused].map((address) => ({
      mailbox: unwrap(parseMailbox(address)),
      parameters: {},
    })),
    body: { size: octets.length, chunks: () => [octets] },
  });
}
