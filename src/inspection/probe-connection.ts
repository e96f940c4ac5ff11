import { type Clock, type Duration, err, ok, type Result } from "../base/index.ts";
import {
  type ClearStream,
  type ClientTlsOptions,
  connect,
  type NetProblem,
  type Stream,
  upgradeClient,
} from "../net/index.ts";
import {
  describeReply,
  type Extensions,
  formatCommand,
  type Reply,
  ReplyDecoder,
  readExtensions,
} from "../smtp/index.ts";

/** One connection of a probe. */
export interface ProbeConnection {
  readonly addresses: readonly string[];
  readonly port: number;
  /** Our name in EHLO. */
  readonly hello: string;
  readonly implicit: boolean;
  readonly tls: Omit<ClientTlsOptions, "timeout">;
  /** For each step (connection, reply, handshake), milliseconds. */
  readonly timeout: Duration;
  readonly clock: Clock;
}

/** What a host showed on one connection, as far as it came. Nothing was sent but EHLO, STARTTLS and QUIT. */
export interface Shown {
  /** Where the connection led; null where there was none. */
  readonly address: string | null;
  readonly greeting: Reply | null;
  /** Of the EHLO in clear text; null with implicit TLS, or where it did not come so far. */
  readonly before: Extensions | null;
  /** Of the EHLO inside TLS. */
  readonly after: Extensions | null;
  /** The TLS stream, closed by now; null without a handshake that succeeded. */
  readonly secured: Stream | null;
  readonly problem: ShownProblem | null;
}

/** Where a connection stopped, in words, with the network's problem where it was that. */
export interface ShownProblem {
  readonly stage: "connect" | "greeting" | "hello" | "starttls" | "handshake" | "secureHello";
  readonly detail: string;
  readonly network: NetProblem | null;
}

/** Connects as a client would, up to the EHLO inside TLS, and takes its leave. Never rejects. */
export async function showConnection(request: ProbeConnection): Promise<Shown> {
  const { addresses, port, timeout } = request;
  const connected = await connect({ addresses, port, timeout });
  const seen: Seen = { address: null, greeting: null, before: null, after: null, secured: null };
  if (!connected.ok) return { ...seen, problem: networkProblem("connect", connected.error) };
  seen.address = connected.value.peer.address;
  const problem = request.implicit
    ? await showInside(connected.value, request, seen)
    : await showClear(connected.value, request, seen);
  return { ...seen, problem };
}

type Seen = { -readonly [Key in keyof Omit<Shown, "problem">]: Shown[Key] };

/** Greeting and EHLO in clear text, STARTTLS where it is offered. */
async function showClear(stream: ClearStream, request: ProbeConnection, seen: Seen): Promise<ShownProblem | null> {
  const dialogue = new Dialogue(stream, request);
  const opened = await greetAndSayHello(dialogue, request, "hello", seen);
  if (!opened.ok) return opened.error;
  seen.before = opened.value;
  if (!opened.value.has("STARTTLS")) {
    await dialogue.quit();
    return { stage: "starttls", detail: "STARTTLS is not offered", network: null };
  }
  const go = await dialogue.ask("STARTTLS");
  if (!go.ok || go.value.code !== 220) {
    await dialogue.quit();
    return { stage: "starttls", detail: go.ok ? describeReply(go.value) : go.error, network: null };
  }
  const early = dialogue.release();
  if (early !== null) {
    stream.destroy();
    return { stage: "starttls", detail: early, network: null };
  }
  return await showInside(stream, request, seen);
}

/** The handshake, and EHLO inside it. */
async function showInside(stream: ClearStream, request: ProbeConnection, seen: Seen): Promise<ShownProblem | null> {
  const secured = await upgradeClient(stream, { ...request.tls, timeout: request.timeout });
  if (!secured.ok) return networkProblem("handshake", secured.error);
  seen.secured = secured.value;
  const dialogue = new Dialogue(secured.value, request);
  const greeted = request.implicit
    ? await greetAndSayHello(dialogue, request, "secureHello", seen)
    : await sayHello(dialogue, request, "secureHello");
  if (!greeted.ok) return greeted.error;
  seen.after = greeted.value;
  await dialogue.quit();
  return null;
}

async function greetAndSayHello(
  dialogue: Dialogue,
  request: ProbeConnection,
  stage: "hello" | "secureHello",
  seen: Seen,
): Promise<Result<Extensions, ShownProblem>> {
  const greeting = await dialogue.ask(null);
  if (!greeting.ok) {
    dialogue.close();
    return err({ stage: "greeting", detail: greeting.error, network: null });
  }
  seen.greeting = greeting.value;
  if (greeting.value.code !== 220) {
    await dialogue.quit();
    return err({ stage: "greeting", detail: describeReply(greeting.value), network: null });
  }
  return await sayHello(dialogue, request, stage);
}

async function sayHello(
  dialogue: Dialogue,
  { hello }: ProbeConnection,
  stage: "hello" | "secureHello",
): Promise<Result<Extensions, ShownProblem>> {
  const answer = await dialogue.ask(`EHLO ${hello}`);
  if (answer.ok && answer.value.code === 250) return ok(readExtensions(answer.value));
  await dialogue.quit();
  return err({ stage, detail: answer.ok ? describeReply(answer.value) : answer.error, network: null });
}

function networkProblem(stage: ShownProblem["stage"], network: NetProblem): ShownProblem {
  return { stage, detail: network.detail, network };
}

/** One line out, one reply in; each within the time allowed. */
class Dialogue {
  readonly #stream: Stream;
  readonly #request: Pick<ProbeConnection, "timeout" | "clock">;
  readonly #decoder = new ReplyDecoder();
  readonly #replies: Reply[] = [];
  #problem: string | null = null;
  #wake: () => void = () => {};

  constructor(stream: Stream, request: Pick<ProbeConnection, "timeout" | "clock">) {
    this.#stream = stream;
    this.#request = request;
    stream.attach({
      data: (bytes) => this.#onData(bytes),
      drained() {},
      ended: () => this.#fail("the server closed the connection"),
      closed: (problem) => this.#fail(problem === null ? "the server closed the connection" : problem.detail),
    });
  }

  /** The reply to a command, or without one that which the server owes. The failure is one line. */
  async ask(line: string | null): Promise<Result<Reply, string>> {
    if (line !== null && this.#problem === null) {
      // RFC 5321 §4.2: what came before the command cannot be its answer.
      if (this.#replies.length > 0) this.#fail("the server sent more replies than it was asked for");
      else this.#stream.write(formatCommand(line));
    }
    const { clock, timeout } = this.#request;
    const deadline = clock.after(timeout, () => this.#fail(`the server did not answer within ${timeout} ms`));
    while (this.#replies.length === 0 && this.#problem === null) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    deadline.cancel();
    const reply = this.#replies.shift();
    return reply === undefined ? err(this.#problem ?? "the server did not answer") : ok(reply);
  }

  /** Says goodbye, where that is still possible, and closes. */
  async quit(): Promise<void> {
    if (this.#problem === null) await this.ask("QUIT");
    this.close();
  }

  close(): void {
    this.#stream.destroy();
  }

  /** Stops reading, for the handshake. What came behind the last reply is an injected response (RFC 3207 §6): returned in words. */
  release(): string | null {
    this.#stream.pause();
    const beyond = this.#replies.length > 0 || this.#decoder.midReply || this.#decoder.problem !== null;
    return beyond ? "the server sent clear text behind its reply to STARTTLS" : this.#problem;
  }

  #onData(bytes: Uint8Array): void {
    const decoded = this.#decoder.push(bytes);
    if (decoded.ok) this.#replies.push(...decoded.value);
    if (!decoded.ok || this.#decoder.problem !== null) this.#fail("what the server sent is not SMTP");
    this.#wake();
  }

  #fail(problem: string): void {
    this.#problem ??= problem;
    this.#wake();
  }
}
