// The next hop of a crash run, in this process: takes, refuses and puts off, and enters what arrived into the books.
import { unwrap } from "../../src/base/index.ts";
import { type Client, createServer, definePolicy, type MessageSink, type Verdict } from "../../src/server/index.ts";
import { formatMailbox, type Mailbox, reply } from "../../src/smtp/index.ts";
import type { Ledger } from "./ledger.ts";
import { DOMAINS, fateAtHop, readMessage } from "./messages.ts";

export interface Hop {
  readonly port: number;
  stop(): Promise<void>;
}

export interface HopOptions {
  readonly ledger: Ledger;
  /** How many kills there were so far. */
  readonly kills: () => number;
  /** A message is taken; its 250 is about to be sent. */
  readonly onTaken: () => void;
}

export async function startHop(options: HopOptions): Promise<Hop> {
  // A connection belongs to the life in which it was opened: what it still brings after a kill was sent before it.
  const lives = new Map<string, number>();
  const putOff = new Set<string>();
  const server = createServer({
    hostname: DOMAINS.hop,
    listeners: [{ address: "127.0.0.1", port: 0, tls: "none" }],
    limits: { connections: 1000, connectionsPerAddress: 1000, errors: 1_000_000, transactions: 1_000_000 },
    policy: definePolicy({
      connect({ sessionId }) {
        lives.set(sessionId, options.kills());
        return { kind: "accept" };
      },
      recipient: ({ recipient }) => decide(recipient, putOff),
      body: ({ recipients }, { sessionId }: Client) =>
        sink(
          recipients.map(({ recipient }) => recipient),
          { ...options, life: lives.get(sessionId) ?? 0 },
        ),
      end: ({ sessionId }) => void lives.delete(sessionId),
    }),
  });
  const [endpoint] = unwrap(await server.start());
  return { port: endpoint?.port ?? 0, stop: () => server.stop({ grace: 0 }) };
}

function decide(recipient: Mailbox, putOff: Set<string>): Verdict {
  const fate = fateAtHop(recipient.localPart);
  if (fate === "refused") return { kind: "refuse", reply: reply(550, "5.1.1", "nobody here") };
  if (fate === "taken" || putOff.has(recipient.localPart)) return { kind: "accept" };
  putOff.add(recipient.localPart);
  return { kind: "refuse", reply: reply(450, "4.2.1", "later") };
}

function sink(recipients: readonly Mailbox[], to: HopOptions & { readonly life: number }): MessageSink {
  const chunks: Uint8Array[] = [];
  return {
    write: (chunk) => void chunks.push(chunk.slice()),
    finish() {
      const intact = readMessage(Buffer.concat(chunks).toString("latin1"))?.intact ?? false;
      for (const recipient of recipients) {
        if (recipient.domain === DOMAINS.sender) to.ledger.reported(Number(recipient.localPart.slice(1)), to.life);
        else to.ledger.arrived(formatMailbox(recipient), to.life, intact);
      }
      to.onTaken();
      return reply(250, "2.0.0", "taken");
    },
    abort() {},
  };
}
