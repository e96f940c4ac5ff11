import { unwrap } from "../base/index.ts";
import { type ClearStream, type KeyPair, listen, ServerTls, type Stream, upgradeServer } from "../net/index.ts";

/**
 * One step of a script, as in a dialogue where the peer is the server:
 *
 * - `S: 220 mx.test ESMTP` sends the line with CRLF.
 * - `C: EHLO *` waits for a line and compares it; `*` stands for any text.
 * - `C: ...` takes lines up to the one that the next `C:` names (a message: `C: ...`, then `C: .`).
 * - `TLS` makes the handshake as a server. `END` ends our side, `RESET` closes at once, `HANG` waits until the client closes.
 * - `{ send }` sends octets as they are, for what a line cannot say.
 */
export type ScriptStep = string | { readonly send: string | Uint8Array };

export interface ScriptedPeerOptions {
  /** What `TLS` shows. */
  readonly tls?: KeyPair;
  /** True: TLS from the first octet. */
  readonly implicitTls?: boolean;
  /** The most to wait for a line or for the handshake, milliseconds (default 5000). */
  readonly timeout?: number;
}

/** What became of one connection. */
export interface PlayedScript {
  /** The lines that the client sent, without their ends. */
  readonly received: readonly string[];
  /** Where the script and the client parted; null when it was played to its end. */
  readonly problem: string | null;
}

export interface ScriptedPeer {
  readonly address: string;
  readonly port: number;
  /** The first connection, when it is over. */
  readonly played: Promise<PlayedScript>;
  /** Each connection that is over, in the order they were made. */
  readonly connections: readonly PlayedScript[];
  /** Closes the listener and what is still connected. */
  close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";
const DEFAULT_TIMEOUT = 5000;

/**
 * A TCP peer on loopback that plays the server's part of a script, from the start on each connection. When the script is at its
 * end, so is the connection.
 */
export async function scriptedPeer(
  script: readonly ScriptStep[],
  options: ScriptedPeerOptions = {},
): Promise<ScriptedPeer> {
  const tls = options.tls === undefined ? null : unwrap(ServerTls.create({ keyPairs: [options.tls] }));
  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  const steps = options.implicitTls === true ? ["TLS", ...script] : script;
  const first = Promise.withResolvers<PlayedScript>();
  const connections: PlayedScript[] = [];
  const running = new Set<Player>();
  const play = async (stream: ClearStream): Promise<void> => {
    const player = new Player(stream, tls, timeout);
    running.add(player);
    const played = await player.play(steps);
    running.delete(player);
    connections.push(played);
    first.resolve(played);
  };
  const listener = unwrap(await listen({ address: LOOPBACK, port: 0, onStream: (stream) => void play(stream) }));
  return {
    ...listener.local,
    played: first.promise,
    connections,
    close: async () => {
      for (const player of running) player.stop();
      await listener.close();
    },
  };
}

/** One connection's run through the script. */
class Player {
  #stream: Stream;
  /** Null once it is a TLS one. */
  #clear: ClearStream | null;
  readonly #tls: ServerTls | null;
  readonly #timeout: number;
  readonly #received: string[] = [];
  readonly #waitingLines: string[] = [];
  #partial = "";
  #over = false;
  #wake: () => void = () => {};

  constructor(stream: ClearStream, tls: ServerTls | null, timeout: number) {
    this.#stream = stream;
    this.#clear = stream;
    this.#tls = tls;
    this.#timeout = timeout;
  }

  stop(): void {
    this.#stream.destroy();
    this.#finish();
  }

  async play(steps: readonly ScriptStep[]): Promise<PlayedScript> {
    // A handshake that comes first must find the octets where they are; a stream that nobody reads does not see its end.
    if (steps[0] !== "TLS") this.#listen(this.#stream);
    let problem: string | null = null;
    for (const [index, step] of steps.entries()) {
      const wrong = await this.#step(step, steps[index + 1]);
      if (wrong === null) continue;
      problem = `step ${index + 1} (${typeof step === "string" ? step : "send"}): ${wrong}`;
      break;
    }
    if (problem === null) {
      this.#stream.end();
      await this.#until(() => this.#over);
    }
    this.#stream.destroy();
    const rest = this.#waitingLines.splice(0);
    this.#received.push(...rest);
    if (problem === null && rest.length > 0) problem = `the client went on after the end: ${rest[0]}`;
    return { received: this.#received, problem };
  }

  async #step(step: ScriptStep, next: ScriptStep | undefined): Promise<string | null> {
    if (typeof step !== "string") return this.#send(step.send);
    if (step.startsWith("S: ")) return this.#send(`${step.slice(3)}\r\n`);
    if (step === "C: ...") return this.#takeUpTo(typeof next === "string" ? next.slice(3) : "");
    if (step.startsWith("C: ")) return this.#expect(step.slice(3));
    switch (step) {
      case "TLS":
        return await this.#startTls();
      case "END":
        this.#stream.end();
        return null;
      case "RESET":
        this.#stream.destroy();
        return null;
      case "HANG":
        return (await this.#until(() => this.#over)) ? null : "the client did not close";
      default:
        return "no step of a script";
    }
  }

  #send(what: string | Uint8Array): null {
    this.#stream.write(typeof what === "string" ? new TextEncoder().encode(what) : what);
    return null;
  }

  async #expect(pattern: string): Promise<string | null> {
    const line = await this.#line();
    if (line === null) return this.#over ? "the client is gone" : "the client said nothing";
    return matches(line, pattern) ? null : `the client said ${line}`;
  }

  async #takeUpTo(pattern: string): Promise<string | null> {
    for (;;) {
      if (!(await this.#until(() => this.#waitingLines.length > 0 || this.#over))) return "the client said nothing";
      const [line] = this.#waitingLines;
      if (line === undefined) return "the client is gone";
      if (matches(line, pattern)) return null;
      await this.#line();
    }
  }

  async #line(): Promise<string | null> {
    await this.#until(() => this.#waitingLines.length > 0 || this.#over);
    const line = this.#waitingLines.shift();
    if (line === undefined) return null;
    this.#received.push(line);
    return line;
  }

  async #startTls(): Promise<string | null> {
    if (this.#tls === null) return "no certificate was given";
    if (this.#clear === null) return "TLS is already on";
    if (this.#waitingLines.length > 0 || this.#partial !== "") return "the client did not wait for the handshake";
    const clear = this.#clear;
    this.#clear = null;
    const upgraded = await upgradeServer(clear, this.#tls, this.#timeout);
    if (!upgraded.ok) {
      this.#over = true;
      return `${upgraded.error.kind}: ${upgraded.error.detail}`;
    }
    this.#stream = upgraded.value;
    this.#listen(upgraded.value);
    return null;
  }

  #listen(stream: Stream): void {
    const decoder = new TextDecoder();
    stream.attach({
      data: (bytes) => {
        const lines = (this.#partial + decoder.decode(bytes, { stream: true })).split("\n");
        this.#partial = lines.pop() ?? "";
        this.#waitingLines.push(...lines.map((line) => line.replace(/\r$/, "")));
        this.#wake();
      },
      drained() {},
      ended: () => this.#finish(),
      closed: () => this.#finish(),
    });
  }

  #finish(): void {
    this.#over = true;
    this.#wake();
  }

  /** Waits until `condition` holds; false when it did not in time. */
  async #until(condition: () => boolean): Promise<boolean> {
    const deadline = Date.now() + this.#timeout;
    while (!condition()) {
      const left = deadline - Date.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }
}

/** `*` stands for any text. */
function matches(line: string, pattern: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(line);
}
