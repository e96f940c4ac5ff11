// The senders of a crash run.
import { unwrap } from "../../src/base/index.ts";
import { type ClientSession, openSession, type RecipientResult } from "../../src/client/index.ts";
import { connect } from "../../src/net/index.ts";
import { parseMailbox } from "../../src/smtp/index.ts";
import type { Ledger } from "./ledger.ts";
import { type TestMessage, testMessage } from "./messages.ts";

export interface LoadOptions {
  readonly port: number;
  readonly senders: number;
  readonly ledger: Ledger;
  /** A 250 was read, and is in the books. */
  readonly onAnswered: () => void;
}

/** Sends until the daemon is gone. */
export async function runLoad(options: LoadOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.senders }, () => sendUntilGone(options)));
}

async function sendUntilGone({ port, ledger, onAnswered }: LoadOptions): Promise<void> {
  const session = await open(port);
  for (let alive = session !== null; alive && session?.usable === true; ) {
    const message = testMessage(ledger.nextNumber());
    const results = await send(session, message);
    alive = results.every(({ kind }) => kind === "accepted");
    if (!alive) break;
    ledger.acknowledged(message);
    onAnswered();
  }
  session?.destroy();
}

/** Null where nobody answers. */
export async function open(port: number): Promise<ClientSession | null> {
  const stream = await connect({ addresses: ["127.0.0.1"], port, timeout: 2000 });
  if (!stream.ok) return null;
  const session = await openSession({ stream: stream.value, hello: "load.test", tls: { kind: "none" } });
  return session.ok ? session.value : null;
}

export async function send(session: ClientSession, message: TestMessage): Promise<readonly RecipientResult[]> {
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
