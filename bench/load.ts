// The load: a process of its own that speaks SMTP to one port over many connections and times every message.
// Lean on purpose, so that it is the server that is measured. Takes its task as JSON in argv[2], prints its result as JSON.
import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";

export interface LoadTask {
  readonly port: number;
  readonly connections: number;
  readonly messages: number;
  /** Octets of a message, header included. */
  readonly size: number;
  /** "reuse": one connection sends many messages. "new": a connection for each. */
  readonly mode: "reuse" | "new";
  readonly starttls: boolean;
  readonly recipient: string;
  /** Numbers in `X-Bench` start here, so that a sink can tell rounds apart. */
  readonly firstNumber: number;
  /**
   * Messages a second that are sent whatever the server does, each timed from when it should have gone (mode "reuse"). Default: each
   * connection sends its next message when the last one was answered.
   */
  readonly rate?: number;
}

export interface LoadResult {
  readonly acknowledged: number;
  readonly failed: number;
  /** `Date.now()` before the first connection. */
  readonly startedAt: number;
  readonly seconds: number;
  /** From the first octet of MAIL (or of the connection, in mode "new") to the reply to the end of data, milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly firstFailure: string | null;
}

/** The body that every message carries behind its header; a sink compares it octet for octet. */
export function benchBody(size: number): string {
  const line = "The quick brown fox jumps over the lazy dog, and again, 0123456789 \r\n";
  return line.repeat(Math.max(1, Math.floor((size - 120) / line.length)));
}

async function run(task: LoadTask): Promise<LoadResult> {
  const body = benchBody(task.size);
  const latencies: number[] = [];
  let next = 0;
  let failed = 0;
  let firstFailure: string | null = null;
  const take = (): number | null => (next < task.messages ? task.firstNumber + next++ : null);
  /** When message `number` should go. */
  const due = async (number: number): Promise<number> => {
    if (task.rate === undefined) return performance.now();
    const at = begun + ((number - task.firstNumber) * 1000) / task.rate;
    if (at - performance.now() > 1) await sleep(at - performance.now());
    // A timer knows no parts of a millisecond: what goes a little early is timed from when it went.
    return Math.min(at, performance.now());
  };
  const fail = (why: string): void => {
    failed++;
    firstFailure ??= why;
  };

  async function worker(): Promise<void> {
    for (let number = take(); number !== null; number = take()) {
      const opened = performance.now();
      const peer = await Peer.open(task).catch((error: Error) => error.message);
      if (typeof peer === "string") {
        fail(peer);
        continue;
      }
      let since = task.mode === "new" ? opened : await due(number);
      let current: number | null = number;
      while (current !== null) {
        const refusal = await peer.send(current, task.recipient, body).catch((error: Error) => error.message);
        if (refusal === null) latencies.push(performance.now() - since);
        else {
          fail(refusal);
          break;
        }
        current = task.mode === "reuse" ? take() : null;
        if (current !== null) since = await due(current);
      }
      peer.close();
    }
  }

  const startedAt = Date.now();
  const begun = performance.now();
  await Promise.all(Array.from({ length: task.connections }, worker));
  const seconds = (performance.now() - begun) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { acknowledged: latencies.length, failed, startedAt, seconds, p50: at(0.5), p99: at(0.99), firstFailure };
}

/** One connection: writes commands and waits for as many replies as are owed. */
class Peer {
  #socket: Socket;
  #text = "";
  #owed = 0;
  #replies: string[] = [];
  #wake: ((problem: Error | null) => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen();
  }

  static async open(task: LoadTask): Promise<Peer> {
    const socket = createConnection({ host: "127.0.0.1", port: task.port, noDelay: true });
    const peer = new Peer(socket);
    await peer.#replyTo("", 1);
    await peer.#replyTo("EHLO load.test\r\n", 1);
    if (!task.starttls) return peer;
    await peer.#replyTo("STARTTLS\r\n", 1);
    socket.removeAllListeners("data").removeAllListeners("close").removeAllListeners("error");
    const secured = connectTls({ socket, rejectUnauthorized: false });
    await new Promise<void>((resolve, reject) => secured.once("secureConnect", resolve).once("error", reject));
    const securedPeer = new Peer(secured);
    await securedPeer.#replyTo("EHLO load.test\r\n", 1);
    return securedPeer;
  }

  /** Sends one message, the envelope in one piece (RFC 2920); null when it was acknowledged, else what refused it. */
  async send(number: number, recipient: string, body: string): Promise<string | null> {
    const envelope = await this.#replyTo(`MAIL FROM:<load@load.test>\r\nRCPT TO:<${recipient}>\r\nDATA\r\n`, 3);
    if (!envelope[2]?.startsWith("354")) return envelope.join(" / ");
    const header = `From: <load@load.test>\r\nTo: <${recipient}>\r\nSubject: load\r\nX-Bench: ${number}\r\n\r\n`;
    const [end = ""] = await this.#replyTo(`${header}${body}.\r\n`, 1);
    return end.startsWith("250") ? null : end;
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.end("QUIT\r\n");
    this.#socket.on("error", () => {});
  }

  #replyTo(command: string, replies: number): Promise<string[]> {
    this.#owed = replies;
    this.#replies = [];
    const answered = new Promise<string[]>((resolve, reject) => {
      this.#wake = (problem) => (problem === null ? resolve(this.#replies) : reject(problem));
    });
    if (command !== "") this.#socket.write(command, "latin1");
    return answered;
  }

  #listen(): void {
    this.#socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      for (let end = this.#text.indexOf("\r\n"); end >= 0; end = this.#text.indexOf("\r\n")) {
        if (this.#text[3] !== "-") this.#replies.push(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 2);
      }
      if (this.#replies.length >= this.#owed) this.#wake?.(null);
    });
    this.#socket.on("error", (error) => this.#wake?.(error));
    this.#socket.on("close", () => this.#wake?.(new Error(`closed after ${this.#replies.join(" / ")}`)));
  }
}

const task = process.argv[2];
if (import.meta.main && task !== undefined) process.stdout.write(JSON.stringify(await run(JSON.parse(task))));
