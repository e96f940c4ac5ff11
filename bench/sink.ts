// The next hop of the relay measurements: takes every message, compares its body octet for octet, and counts which
// numbers came. A process of its own; settings as JSON in argv[2], counts on request over IPC.
import { createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { benchBody } from "./load.ts";

export interface SinkTask {
  readonly port: number;
  readonly size: number;
  /** PEM; with them STARTTLS is offered. */
  readonly certificate: string | null;
  readonly privateKey: string | null;
}

/** Asked by "expect" n: answered when n different messages are there. */
export interface SinkReport {
  readonly distinct: number;
  readonly repeated: number;
  readonly corrupt: number;
  /** When the last new message was whole, `Date.now()`. */
  readonly lastAt: number;
}

function serve(task: SinkTask): void {
  const body = Buffer.from(`\r\n\r\n${benchBody(task.size)}.\r\n`, "latin1");
  const seen = new Set<number>();
  let repeated = 0;
  let corrupt = 0;
  let lastAt = 0;
  let expected = Number.POSITIVE_INFINITY;
  const context =
    task.certificate === null || task.privateKey === null
      ? null
      : createSecureContext({ cert: task.certificate, key: task.privateKey });

  function report(): void {
    const answer: SinkReport = { distinct: seen.size, repeated, corrupt, lastAt };
    process.send?.(answer);
  }

  function take(message: Buffer): void {
    const number = Number(/\r\nX-Bench: (\d+)\r\n/.exec(message.toString("latin1", 0, 2048))?.[1] ?? Number.NaN);
    const tail = message.subarray(message.length - body.length);
    if (Number.isNaN(number) || !tail.equals(body)) corrupt++;
    else if (seen.has(number)) repeated++;
    else {
      seen.add(number);
      lastAt = Date.now();
      if (seen.size === expected) report();
    }
  }

  function converse(socket: Socket, secure: boolean): void {
    const offers = secure || context === null ? "" : "250-STARTTLS\r\n";
    let pieces: Buffer[] = [];
    let inData = false;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      let rest: Buffer = chunk;
      if (!inData && pieces.length > 0) {
        rest = Buffer.concat([...pieces, chunk]);
        pieces = [];
      }
      let replies = "";
      while (rest.length > 0) {
        if (inData) {
          // The end mark may be cut by packets, and QUIT may stand right behind it.
          const whole: Buffer = pieces.length === 0 ? rest : Buffer.concat([...pieces, rest]);
          const end = whole.indexOf("\r\n.\r\n", Math.max(0, whole.length - rest.length - 4));
          if (end < 0) {
            pieces = [whole];
            break;
          }
          take(whole.subarray(0, end + 5));
          rest = whole.subarray(end + 5);
          pieces = [];
          inData = false;
          replies += "250 2.0.0 taken\r\n";
          continue;
        }
        const end = rest.indexOf("\r\n");
        if (end < 0) {
          pieces = [rest];
          break;
        }
        const verb = rest.toString("latin1", 0, Math.min(end, 8)).toUpperCase();
        rest = rest.subarray(end + 2);
        if (verb.startsWith("EHLO"))
          replies += `250-sink.test\r\n${offers}250-8BITMIME\r\n250-SIZE 0\r\n250 PIPELINING\r\n`;
        else if (verb.startsWith("DATA")) {
          replies += "354 go\r\n";
          inData = true;
        } else if (verb.startsWith("QUIT")) {
          socket.end(`${replies}221 2.0.0 bye\r\n`);
          return;
        } else if (verb.startsWith("STARTTLS") && context !== null) {
          socket.write("220 2.0.0 go\r\n");
          socket.removeAllListeners("data");
          converse(new TLSSocket(socket, { isServer: true, secureContext: context }), true);
          return;
        } else replies += "250 2.0.0 ok\r\n";
      }
      if (replies !== "") socket.write(replies, "latin1");
    });
  }

  createServer({ noDelay: true }, (socket) => {
    socket.write("220 sink.test ESMTP\r\n");
    converse(socket, false);
  }).listen(task.port, "127.0.0.1", 1024, () => process.send?.("ready"));
  process.on("message", (message: { readonly expect: number }) => {
    expected = message.expect;
    if (seen.size >= expected) report();
  });
  process.on("disconnect", () => process.exit(0));
}

const task = process.argv[2];
if (import.meta.main && task !== undefined) serve(JSON.parse(task));
