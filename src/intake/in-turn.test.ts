import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, Conversation, MessageSink, Policy, Transaction } from "../server/index.ts";
import { reply } from "../smtp/index.ts";
import { fakeClock } from "../testing/index.ts";
import { inTurn } from "./in-turn.ts";
import { Turnstile } from "./turnstile.ts";

const PLACES = 128;
const TAKEN = reply(250, "2.0.0", "taken");
const REFUSED = reply(550, "5.7.1", "no");

const CLIENT: Client = {
  sessionId: "s1",
  peer: { address: "198.51.100.1", port: 1 },
  local: { address: "192.0.2.25", port: 25 },
  tls: null,
};
const TRANSACTION: Transaction = {
  hello: { verb: "EHLO", name: "x" },
  identity: null,
  reversePath: null,
  parameters: {},
  recipients: [],
};

/** A policy that refuses what it is told to, and whose messages are kept when told. */
function scene() {
  const { clock, run } = fakeClock();
  const refuse = { mail: false, body: false };
  const keeping: (() => void)[] = [];
  const calls: string[] = [];
  const sink: MessageSink = {
    write: () => void calls.push("write"),
    finish: () => new Promise((resolve) => keeping.push(() => resolve(TAKEN))),
    abort: () => void calls.push("abort"),
  };
  const inner: Policy = {
    connect: () => ({ kind: "accept" }),
    begin: () => ({
      offer: () => assert.fail("not asked"),
      verify: () => TAKEN,
      mail: async () => {
        calls.push("mail");
        return refuse.mail ? { kind: "refuse", reply: REFUSED } : { kind: "accept" };
      },
      body: async () => (refuse.body ? { kind: "refuse", reply: REFUSED } : { kind: "accept", sink }),
      end: () => void calls.push("end"),
    }),
  };
  const policy = inTurn(inner, new Turnstile({ clock, syncTime: () => 0 }));
  const mail = async (conversation: Conversation): Promise<string> => {
    const verdict = await conversation.mail?.(TRANSACTION);
    return verdict?.kind ?? assert.fail("there is no verdict");
  };
  const body = async (conversation: Conversation): Promise<MessageSink> => {
    const verdict = await conversation.body(TRANSACTION);
    return verdict.kind === "accept" ? verdict.sink : assert.fail("refused");
  };
  /** All places are taken by messages that are being kept; the result tells whether one more waits. */
  const fill = async (): Promise<void> => {
    for (let n = 0; n < PLACES; n++) {
      const conversation = policy.begin(CLIENT);
      assert.equal(await mail(conversation), "accept");
      void (await body(conversation)).finish();
    }
  };
  const waits = async (): Promise<boolean> => {
    const conversation = policy.begin(CLIENT);
    let answered = false;
    void mail(conversation).then(() => (answered = true));
    await run(0);
    conversation.end?.();
    return !answered;
  };
  return { policy, run, refuse, keeping, calls, mail, body, fill, waits };
}

test("MAIL waits while as many messages are being kept as there are places, and is answered when one is", async () => {
  const { policy, run, keeping, mail, fill, waits } = scene();
  await fill();
  assert.equal(await waits(), true);
  const verdict = mail(policy.begin(CLIENT));
  keeping[0]?.();
  await run(0);
  assert.equal(await verdict, "accept");
  assert.equal(await waits(), true, "the place is taken again");
});

test("each end of a mail gives its place back", async () => {
  const { policy, run, refuse, keeping, calls, mail, body, fill, waits } = scene();
  await fill();
  keeping[0]?.();
  await run(0);
  const conversation = policy.begin(CLIENT);
  for (const end of ["mail", "body", "abort", "reset", "end"] as const) {
    refuse.mail = end === "mail";
    refuse.body = end === "body";
    assert.equal(await mail(conversation), end === "mail" ? "refuse" : "accept", end);
    if (end === "body") assert.equal((await conversation.body(TRANSACTION)).kind, "refuse");
    if (end === "abort") await (await body(conversation)).abort();
    // After RSET comes the next MAIL of this connection, which takes no second place.
    if (end === "end") conversation.end?.();
    if (end === "reset") continue;
    assert.equal(await waits(), false, end);
  }
  assert.ok(calls.includes("abort"));
  assert.ok(calls.includes("end"));
});

test("of a connection that ends while its MAIL waits nothing is asked any more", async () => {
  const { policy, run, calls, keeping, mail, fill } = scene();
  await fill();
  const leaving = policy.begin(CLIENT);
  const admitted = policy.begin(CLIENT);
  const verdicts = [mail(leaving), mail(admitted)];
  calls.length = 0;
  leaving.end?.();
  // The place comes free, and the connection ends before anybody has looked at that.
  keeping[0]?.();
  await run(0);
  admitted.end?.();
  await Promise.all(verdicts);
  assert.deepEqual(calls.slice(0, 1), ["end"]);
  assert.equal(calls.filter((call) => call === "mail").length, 1, "asked for the one who was there still");
});

test("the rest of a conversation is as the policy has it", async () => {
  const { policy, body, mail, calls } = scene();
  const conversation = policy.begin(CLIENT);
  assert.equal(conversation.hello, undefined);
  assert.equal(conversation.sasl, undefined);
  assert.deepEqual(await conversation.verify?.("x"), TAKEN);
  await mail(conversation);
  const sink = await body(conversation);
  assert.equal(sink.copies, false);
  sink.write(new Uint8Array(1));
  assert.deepEqual(calls, ["mail", "write"]);
});
