import assert from "node:assert/strict";
import { decodeUtf8Lenient } from "../../src/base/index.ts";
import { type ClearStream, type KeyPair, type NetProblem, type Stream, upgradeClient } from "../../src/net/index.ts";
import { formatStatus, type Reply, ReplyDecoder } from "../../src/smtp/index.ts";
import { makeCertificate } from "../../src/testing/index.ts";
import type { Dialogue, Step } from "./dialogue.ts";
import type { Stage } from "./stage.ts";

/** Cuts what the client sends in one step into the pieces that go out one by one. */
export type Cut = (octets: Uint8Array) => readonly Uint8Array[];

export const whole: Cut = (octets) => [octets];
export const byteByByte: Cut = (octets) => Array.from(octets, (octet) => Uint8Array.of(octet));
export const splitAt =
  (at: number): Cut =>
  (octets) =>
    at <= 0 || at >= octets.length ? [octets] : [octets.subarray(0, at), octets.subarray(at)];

/** How long a reply may take; only a broken server gets near it. */
const PATIENCE = 5000;

/** Plays the client's side of a dialogue and checks the server's. Gives back the replies. */
export async function play(dialogue: Dialogue, stage: Stage, stream: ClearStream, cut: Cut): Promise<readonly Reply[]> {
  const replies: Reply[] = [];
  let client = new Client(stream);
  let messages = 0;
  for (const step of dialogue.steps) {
    switch (step.kind) {
      case "send":
        await client.send(step.octets, cut);
        break;
      case "reply": {
        const reply = await client.reply();
        checkReply(dialogue, step, reply);
        replies.push(reply);
        break;
      }
      case "stop":
        void stage.server.stop();
        break;
      case "closed":
        await client.closed();
        break;
      case "wait":
        await settled();
        stage.clock.advance(step.milliseconds);
        break;
      case "message":
        assert.equal(
          decodeUtf8Lenient(stage.messages[messages++] ?? new Uint8Array(0)),
          decodeUtf8Lenient(step.octets),
        );
        break;
      case "tls":
        client = await client.secure(step.shown === "stranger" ? makeCertificate({ names: ["stranger.test"] }) : null);
        break;
    }
  }
  await settled();
  assert.deepEqual(client.unread(), [], "no reply beyond those written");
  assert.equal(stage.messages.length, messages, "no message beyond those written");
  client.destroy();
  return replies;
}

function checkReply(dialogue: Dialogue, expected: Extract<Step, { kind: "reply" }>, reply: Reply): void {
  const found = { code: reply.code, status: reply.status === null ? null : formatStatus(reply.status) };
  assert.deepEqual(found, { code: expected.code, status: expected.status }, dialogue.title);
  for (const line of expected.lines) assert.ok(reply.lines.includes(line), `${line} in ${reply.lines.join(" / ")}`);
  for (const word of expected.absent) assert.ok(!reply.lines.some((line) => line.startsWith(word)), `no ${word}`);
}

export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A client that believes nothing: it collects replies and tells when the other side is gone. */
class Client {
  readonly #stream: Stream;
  readonly #clear: ClearStream | null;
  readonly #decoder = new ReplyDecoder();
  readonly #replies: Reply[] = [];
  #ended = false;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;

  constructor(stream: Stream, clear: ClearStream | null = null) {
    this.#stream = stream;
    this.#clear = clear ?? (isClear(stream) ? stream : null);
    stream.attach({
      data: (bytes) => this.#take(bytes),
      drained: () => {},
      ended: () => this.#end(),
      closed: (_problem: NetProblem | null) => this.#end(),
    });
  }

  async send(octets: Uint8Array, cut: Cut): Promise<void> {
    for (const piece of cut(octets)) {
      this.#stream.write(piece);
      await settled();
    }
  }

  async reply(): Promise<Reply> {
    await this.#until(() => this.#replies.length > 0 || this.#ended);
    const reply = this.#replies.shift();
    assert.ok(reply !== undefined, "the server closed where a reply was due");
    return reply;
  }

  async closed(): Promise<void> {
    await this.#until(() => this.#ended);
    assert.deepEqual(this.unread(), [], "closed without a further reply");
    this.#stream.end();
  }

  async secure(shown: KeyPair | null): Promise<Client> {
    assert.ok(this.#clear !== null, "TLS begins once");
    const options = { serverName: "mx.test", verify: { kind: "nothing" }, timeout: PATIENCE } as const;
    const certificate = shown === null ? {} : { clientCertificate: shown };
    const secured = await upgradeClient(this.#clear, { ...options, ...certificate });
    assert.ok(secured.ok, "the handshake succeeds");
    return new Client(secured.value);
  }

  unread(): readonly number[] {
    return this.#replies.map(({ code }) => code);
  }

  destroy(): void {
    this.#stream.destroy();
  }

  #take(bytes: Uint8Array): void {
    const pushed = this.#decoder.push(bytes);
    if (pushed.ok) this.#replies.push(...pushed.value);
    else this.#failure = new Error(`not a reply: ${JSON.stringify(pushed.error)}`);
    this.#wake?.();
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async #until(met: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    while (!met()) {
      if (this.#failure !== null) throw this.#failure;
      if (Date.now() > deadline) throw new Error("the server says nothing");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function isClear(stream: Stream): stream is ClearStream {
  return stream.tls === null;
}
