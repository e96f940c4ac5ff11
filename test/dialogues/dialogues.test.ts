import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { concatBytes, encodeUtf8, unwrap } from "../../src/base/index.ts";
import { connect, listen, ServerTls } from "../../src/net/index.ts";
import { makeCertificate, memoryStreamPair } from "../../src/testing/index.ts";
import { Coverage } from "./coverage.ts";
import { type Dialogue, readDialogues, type Step } from "./dialogue.ts";
import { byteByByte, type Cut, play, splitAt, whole } from "./player.ts";
import { setStage } from "./stage.ts";

const folder = new URL(".", import.meta.url);
const pages = readdirSync(folder).filter((name) => name.endsWith(".md") && name !== "README.md");

let tls: ServerTls;
before(async () => {
  tls = unwrap(ServerTls.create({ keyPairs: [makeCertificate({ names: ["mx.test"] })] }));
});

const coverage = new Coverage();

/** The most places where one step of a client is cut in two. */
const MOST_SPLITS = 60;

/** Over a stream in memory: the session and its driver, without a socket. */
async function inMemory(dialogue: Dialogue, cut: Cut, slow = false): Promise<void> {
  const stage = setStage(dialogue, tls, null, slow);
  const [client, server] = memoryStreamPair();
  stage.server.serve(server, stage.service);
  coverage.add(dialogue, await play(dialogue, stage, client, cut));
  await stage.server.stop({ grace: 0 });
}

async function overSockets(dialogue: Dialogue, cut: Cut, mode: "implicit" | null): Promise<void> {
  const stage = setStage(dialogue, tls, mode, false);
  const service = mode === "implicit" ? { ...stage.service, tls: "implicit" as const } : stage.service;
  const onStream = (stream: Parameters<typeof stage.server.serve>[0]) => stage.server.serve(stream, service);
  const listener = unwrap(await listen({ address: "127.0.0.1", port: 0, onStream }));
  try {
    const stream = unwrap(await connect({ addresses: ["127.0.0.1"], port: listener.local.port, timeout: 5000 }));
    const steps = mode === "implicit" ? [{ kind: "tls" } as const, ...dialogue.steps] : dialogue.steps;
    coverage.add(dialogue, await play({ ...dialogue, steps }, stage, stream, cut));
  } finally {
    const stopped = stage.server.stop({ grace: 0 });
    stage.clock.advance(0);
    await stopped;
    await listener.close();
  }
}

function longestStep(dialogue: Dialogue): number {
  return Math.max(...dialogue.steps.map((step) => (step.kind === "send" ? step.octets.length : 0)));
}

/** The dialogue with one more command in the last piece of the client, where a command may stand there. */
function withBytesFollowing(dialogue: Dialogue): Dialogue | null {
  const at = dialogue.steps.findLastIndex(({ kind }) => kind === "send");
  const last = dialogue.steps[at];
  const behind = dialogue.steps.slice(at + 1);
  const takesMore = ({ kind, code }: { kind: string; code?: number }) =>
    kind === "message" || (kind === "reply" && code !== 334 && code !== 354 && code !== 421);
  if (last?.kind !== "send" || !behind.every(takesMore)) return null;
  const octets = concatBytes([last.octets, encodeUtf8("NOOP\r\n")]);
  const noop: Step = { kind: "reply", code: 250, status: "2.0.0", lines: [], absent: [] };
  const steps = [...dialogue.steps.slice(0, at), { kind: "send", octets } as const, ...behind, noop];
  return { ...dialogue, steps };
}

for (const page of pages) {
  describe(page, () => {
    const dialogues = readDialogues(readFileSync(new URL(page, folder), "utf8"));
    test("holds dialogues", () => assert.ok(dialogues.length > 0));
    for (const dialogue of dialogues) playEverywhere(dialogue);
  });
}

// Last of this file, when all of them were played.
describe("together the dialogues", () => {
  test("say every verb", () => assert.deepEqual(coverage.unsaidVerbs(), []));
  test("hear every reply that the engine has", () => assert.deepEqual(coverage.unheardReplies(), []));
});

function playEverywhere(dialogue: Dialogue): void {
  const { title, settings } = dialogue;
  const handshake = dialogue.steps.some(({ kind }) => kind === "tls");
  const secure = settings.get("over") === "tls";
  const clear = settings.get("over") === "clear" || handshake || settings.get("tls") === "none";
  // Where the point is what comes in one piece, only that is played.
  const together = settings.get("cut") === "whole";
  if (!secure) test(`${title}, over a socket`, () => overSockets(dialogue, whole, null));
  if (!secure && !together && handshake) {
    test(`${title}, over a socket, byte by byte`, () => overSockets(dialogue, byteByByte, null));
  }
  if (!clear) test(`${title}, over TLS`, () => overSockets(dialogue, whole, "implicit"));
  if (handshake || secure) return;
  test(`${title}, in memory`, () => inMemory(dialogue, whole));
  if (together) return;
  test(`${title}, with a slow policy`, () => inMemory(dialogue, whole, true));
  const longer = withBytesFollowing(dialogue);
  if (longer !== null) test(`${title}, with bytes following`, () => inMemory(longer, whole));
  test(`${title}, byte by byte`, () => inMemory(dialogue, byteByByte));
  test(`${title}, at each two-way split`, async () => {
    const length = longestStep(dialogue);
    const stride = Math.max(1, Math.ceil(length / MOST_SPLITS));
    for (let at = 1; at < length; at += stride) await inMemory(dialogue, splitAt(at));
  });
}
