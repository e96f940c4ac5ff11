import { join } from "node:path";
import { encodeUtf8, instant, unwrap } from "../src/base/index.ts";
import { systemClock } from "../src/net/index.ts";
import { type NewMessage, type Outcome, openSqliteStore, type QueueStore } from "../src/queue/index.ts";
import { type Mailbox, parseMailbox } from "../src/smtp/index.ts";
import { benchBody } from "./load.ts";

export interface SeedOptions {
  /** The data folder of a daemon that does not run. */
  readonly folder: string;
  readonly recipients: number;
  readonly perMessage: number;
  /** Octets of a deferred message. */
  readonly octets: number;
  /** The message that is due at once: its octets, and its number for the sink. */
  readonly dueSize: number;
  readonly dueNumber: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Messages on their way into the store at a time, so that they share commits. */
const AT_A_TIME = 500;
const DOMAINS = 5000;

const outcome: Outcome = {
  kind: "deferred",
  scope: "host",
  problem: { text: "mx.example.test refused the connection", reply: null, status: "4.4.1" },
  hop: null,
};

/** Fills a queue as a long outage does: accepted, tried once, due again within a day, no two at the same time. */
export async function seed(options: SeedOptions): Promise<void> {
  const { folder, recipients, perMessage, octets } = options;
  const store = await openSqliteStore({ path: join(folder, "queue.sqlite"), clock: systemClock });
  const sender = unwrap(parseMailbox("load@load.test"));
  const domains = Array.from({ length: DOMAINS }, (_, n) => unwrap(parseMailbox(`u@d${n}.example.test`)).domain);
  const body = encodeUtf8(benchBody(octets));
  const messages = Math.ceil(recipients / perMessage);
  let next = 0;
  const one = async (n: number): Promise<void> => {
    const to = Array.from({ length: perMessage }, (_, place): Mailbox => {
      const number = n * perMessage + place;
      return { localPart: `user${number}`, domain: domains[number % DOMAINS] ?? sender.domain };
    });
    const { id } = await keep(store, sender, to, body);
    const now = Date.now();
    await store.settle({
      id,
      at: instant(now),
      recipients: to.map((_, index) => ({
        index,
        outcome,
        nextAttempt: instant(now + HOUR_MS + (((n * perMessage + index) * 7919) % (DAY_MS - 2 * HOUR_MS))),
        warned: false,
      })),
      report: null,
    });
  };
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      while (next < messages) await one(next++);
    }),
  );
  const header = `From: <load@load.test>\r\nTo: <sink@relay.test>\r\nSubject: load\r\nX-Bench: ${options.dueNumber}\r\n\r\n`;
  const due = encodeUtf8(`Received: by bench.test\r\n${header}${benchBody(options.dueSize)}`);
  await keep(store, sender, [unwrap(parseMailbox("sink@relay.test"))], due);
  await store.close();
}

async function keep(store: QueueStore, sender: Mailbox, to: readonly Mailbox[], body: Uint8Array): Promise<NewMessage> {
  await using draft = store.createDraft();
  await draft.append(body);
  const now = Date.now();
  const message: NewMessage = {
    id: draft.id,
    receivedAt: instant(now),
    expiresAt: instant(now + 5 * DAY_MS),
    reversePath: sender,
    parameters: {},
    origin: { service: "mx", sessionId: null, address: "127.0.0.1", hello: "load.test", identity: null, tls: null },
    recipients: to.map((mailbox) => ({ mailbox, parameters: {} })),
    size: body.length,
  };
  await draft.keep(message);
  return message;
}
