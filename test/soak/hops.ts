// The next hops of a soak run: one that takes mail in clear text and over TLS, at leisure, and a wire to it that breaks.
import { once } from "node:events";
import { createConnection, createServer as createTcpServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { unwrap } from "../../src/base/index.ts";
import type { KeyPair } from "../../src/net/index.ts";
import { createServer, definePolicy, type MessageSink } from "../../src/server/index.ts";
import { reply } from "../../src/smtp/index.ts";
import { MailReader, SENDER_DOMAIN } from "./mail.ts";
import type { Count } from "./tally.ts";

/** Share of messages that the next hop thinks about, and for how long at most, milliseconds. */
const THINKING = 0.01;
const LONGEST_THOUGHT = 1500;
/** Of connections over the breaking wire, how many break, and after how many octets at most. */
const BREAKING = 0.3;
const LONGEST_WIRE = 20_000;

export interface Hops {
  readonly port: number;
  /** The same hop, behind a wire that breaks. */
  readonly brokenPort: number;
  stop(): Promise<void>;
}

export async function startHops(count: Count, pair: KeyPair): Promise<Hops> {
  /** By the port of the client's end: what it brought last, whose reply it may not have seen. */
  const last = new Map<number, number>();
  const server = createServer({
    hostname: "hop.test",
    listeners: [{ address: "127.0.0.1", port: 0, tls: "starttls" }],
    tls: { keyPairs: [pair] },
    limits: { connections: 1000, connectionsPerAddress: 1000, transactions: 1_000_000 },
    policy: definePolicy({
      recipient: ({ recipient }) =>
        recipient.domain === "refused.test"
          ? { kind: "refuse", reply: reply(550, "5.1.1", "nobody here") }
          : { kind: "accept" },
      body: ({ recipients: [first] }, { peer }) => {
        const mailbox = first?.recipient;
        const bounced = mailbox?.domain === SENDER_DOMAIN ? Number(mailbox.localPart.slice(1)) : null;
        return sink(bounced, count, (number) => last.set(peer.port, number));
      },
    }),
  });
  const [endpoint] = unwrap(await server.start());
  const port = endpoint?.port ?? 0;
  const wire = await startBreakingWire(port, (clientPort) => {
    const number = last.get(clientPort);
    if (number !== undefined) count.excuse(number);
  });
  return {
    port,
    brokenPort: wire.port,
    async stop() {
      wire.stop();
      await server.stop({ grace: 0 });
    },
  };
}

function sink(bounced: number | null, count: Count, onTaken: (number: number) => void): MessageSink {
  const reader = new MailReader();
  return {
    write: (chunk) => reader.push(chunk),
    async finish() {
      if (Math.random() < THINKING) await sleep(Math.random() * LONGEST_THOUGHT);
      const { number, intact } = reader.end();
      count.arrived(bounced ?? number, { bounce: bounced !== null, intact: intact || bounced !== null });
      onTaken(bounced ?? number ?? -1);
      return reply(250, "2.0.0", "taken");
    },
    abort() {},
  };
}

async function startBreakingWire(target: number, onCut: (clientPort: number) => void) {
  const open = new Set<Socket>();
  const server = createTcpServer((near) => {
    const far = createConnection({ host: "127.0.0.1", port: target });
    let left = Math.random() < BREAKING ? Math.random() * LONGEST_WIRE : Number.POSITIVE_INFINITY;
    const cut = (): void => {
      if (far.localPort !== undefined) onCut(far.localPort);
      near.resetAndDestroy();
      far.destroy();
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
      from.on("data", (chunk) => {
        left -= chunk.length;
        if (left < 0) cut();
        else to.write(chunk);
      });
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    stop(): void {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
