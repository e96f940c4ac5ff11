import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { concatBytes, DAY, decodeUtf8, encodeUtf8, instant, type Log, type LogFields, unwrap } from "../base/index.ts";
import { type AcceptedMessage, createMemoryStore, type Draft, type QueueStore, StoreError } from "../queue/index.ts";
import type { Client, MessageSink, Transaction } from "../server/index.ts";
import { formatStatus, parseMailbox, type Reply, reply } from "../smtp/index.ts";
import { fakeClock } from "../testing/index.ts";
import { events } from "./events.ts";
import { createReceiver, type ReceiverOptions } from "./receive.ts";

const MIB = 1024 * 1024;
const START = instant(Date.UTC(2026, 10, 22));

const CLIENT: Client = {
  sessionId: "s1",
  peer: { address: "192.0.2.1", port: 40_000 },
  local: { address: "192.0.2.25", port: 25 },
  tls: null,
};

const TRANSACTION: Transaction = {
  hello: { verb: "EHLO", name: "client.test" },
  identity: null,
  reversePath: unwrap(parseMailbox("a@client.test")),
  parameters: { body: "8BITMIME" },
  recipients: [{ recipient: unwrap(parseMailbox("b@mx.test")), parameters: {} }],
};

let store: QueueStore;
let offered: AcceptedMessage[];
let logged: [event: string, fields: LogFields][];

const log: Log = {
  debug: (event, fields = {}) => logged.push([event, fields]),
  info: (event, fields = {}) => logged.push([event, fields]),
  warn: (event, fields = {}) => logged.push([event, fields]),
  error: (event, fields = {}) => logged.push([event, fields]),
  child: () => log,
};

beforeEach(() => {
  store = createMemoryStore({ clock: fakeClock(START).clock });
  offered = [];
  logged = [];
});

async function take(
  parts: Partial<ReceiverOptions> = {},
  transaction = TRANSACTION,
  client = CLIENT,
  mayRaise = false,
): Promise<MessageSink> {
  const receive = createReceiver({
    hostname: "mx.test",
    store,
    offer: (accepted) => offered.push(accepted),
    freeSpace: () => 1024 * MIB,
    clock: fakeClock(START).clock,
    log,
    limits: { hops: 3, header: 1000, giveUpAfter: 5 * DAY, freeSpaceFloor: 64 * MIB },
    ...parts,
  });
  const verdict = await receive(client, transaction, "mx", { mayRaise });
  return verdict.kind === "accept" ? verdict.sink : assert.fail("refused");
}

async function send(sink: MessageSink, ...chunks: string[]): Promise<number> {
  for (const chunk of chunks) await sink.write(encodeUtf8(chunk));
  return (await finish(sink)).code;
}

/** The one reply that is for all recipients. */
async function finish(sink: MessageSink): Promise<Reply> {
  const reply = await sink.finish();
  return "code" in reply ? reply : assert.fail("a reply for each recipient");
}

async function bodyOf(accepted: AcceptedMessage | undefined): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of accepted?.body.chunks() ?? []) chunks.push(chunk);
  return decodeUtf8(concatBytes(chunks)) ?? assert.fail("not UTF-8");
}

/** A store whose drafts do not work; `disposed` counts those thrown away. */
function failingStore(step: "append" | "appendLater" | "keep", error: Error) {
  const failing = {
    disposed: 0,
    unclaim: () => Promise.resolve(),
    createDraft: (): Draft => ({
      id: store.nextId(),
      append() {
        if (step === "append") throw error;
        return step === "appendLater" ? Promise.reject(error) : undefined;
      },
      keep: () => Promise.reject(error),
      async [Symbol.asyncDispose]() {
        failing.disposed++;
      },
    }),
  };
  return failing;
}

test("a message is kept with its trace field in front, claimed, and offered to the runner", async () => {
  const sink = await take();
  const code = await send(sink, "Subject: x\r\n", "\r\nbo", "dy\r\n");
  assert.equal(code, 250);
  const [accepted] = offered;
  assert.ok(accepted);
  const id = accepted.message.id;
  assert.equal(
    await bodyOf(accepted),
    `Received: from client.test ([192.0.2.1]) by mx.test with ESMTP id ${id}\r\n\tfor <b@mx.test>; Sun, 22 Nov 2026 00:00:00 +0000\r\n` +
      "Subject: x\r\n\r\nbody\r\n",
  );
  const { message } = accepted;
  assert.equal(message.size, accepted.body.size);
  assert.equal(message.receivedAt, START);
  assert.equal(message.expiresAt, START + 5 * DAY);
  assert.deepEqual(message.parameters, { body: "8BITMIME" });
  assert.deepEqual(message.origin, {
    service: "mx",
    sessionId: "s1",
    address: "192.0.2.1",
    hello: "client.test",
    identity: null,
    tls: null,
  });
  assert.deepEqual(await store.claimDue({ now: instant(START + DAY), limit: 10 }), [], "claimed already");
  assert.equal(logged.at(-1)?.[0], events.messageAccepted);
  assert.equal(logged.at(-1)?.[1].id, id);
});

test("AUTH= is believed of who logged in alone, and counts as AUTH=<> of everybody else (RFC 4954 §5)", async () => {
  const anna = unwrap(parseMailbox("anna@mx.test"));
  for (const [identity, auth, kept] of [
    ["anna@mx.test", anna, anna],
    ["bob@mx.test", anna, null],
    [null, anna, null],
    ["anna@mx.test", null, null],
  ] as const) {
    const transaction = { ...TRANSACTION, identity, parameters: { ...TRANSACTION.parameters, auth } };
    assert.equal(await send(await take({}, transaction), "Subject: x\r\n\r\n"), 250);
    assert.deepEqual(offered.at(-1)?.message.parameters, { ...TRANSACTION.parameters, auth: kept });
  }
});

test("the reply names the queue id", async () => {
  const sink = await take();
  const reply = await finish(sink);
  assert.deepEqual(reply.status, { class: 2, subject: 0, detail: 0 });
  assert.ok(reply.lines[0]?.endsWith(offered[0]?.message.id ?? "none"));
});

test("a recipient is queued once, under its canonical mailbox, and the trace names none of several", async () => {
  const [b, postmaster, home] = ["b@mx.test", "postmaster@host.test", "postmaster@mx.test"].map((text) =>
    unwrap(parseMailbox(text)),
  );
  assert.ok(b && postmaster && home);
  const recipients = [b, postmaster, b, home].map((recipient) => ({ recipient, parameters: {} }));
  const canonical = (mailbox: typeof b): typeof b => (mailbox === postmaster ? home : mailbox);
  assert.equal(await send(await take({ canonical }, { ...TRANSACTION, recipients }), "\r\n"), 250);
  assert.deepEqual(
    offered[0]?.message.recipients.map(({ mailbox }) => mailbox),
    [b, home],
  );
  assert.doesNotMatch(await bodyOf(offered[0]), /for </);
});

test("too many hops are a loop, wherever the octets are cut", async () => {
  const hops = (count: number): string => `${"Received: x\r\n".repeat(count)}Subject: y\r\n\r\nReceived: body\r\n`;
  assert.equal(await send(await take(), hops(3)), 250);
  assert.equal(await send(await take(), hops(4)), 554);
  assert.equal(await send(await take(), ...hops(4)), 554);
  assert.equal(await send(await take(), "Received: x\r\n".repeat(4)), 554, "a message of fields alone");
  assert.deepEqual(await store.counts(), {
    messages: 1,
    recipients: 1,
    held: 0,
    claimed: 1,
    octets: offered[0]?.message.size,
  });
  assert.equal(logged.filter(([event]) => event === events.messageRefused).length, 3);
});

test("a header section beyond the limit is refused, a long body is not", async () => {
  assert.equal(await send(await take(), "X: y\r\n".repeat(200), "\r\n"), 552);
  assert.equal(await send(await take(), "X: y\r\n\r\n", "x".repeat(5000)), 250);
  assert.equal((await store.counts()).messages, 1);
});

test("an aborted body leaves nothing", async () => {
  const sink = await take();
  await sink.write(encodeUtf8("Subject: x\r\n\r\nhalf"));
  await sink.abort();
  assert.equal((await store.counts()).messages, 0);
  assert.equal(offered.length, 0);
  assert.equal(logged.at(-1)?.[0], events.messageAborted);
});

test("no body is asked for when the disk is nearly full", async () => {
  const asked = (free: number, size: number): number | string => {
    const receive = createReceiver({
      hostname: "mx.test",
      store,
      offer: () => {},
      freeSpace: () => free,
      clock: fakeClock(START).clock,
      log,
      limits: { hops: 3, header: 1000, giveUpAfter: DAY, freeSpaceFloor: 64 * MIB },
    });
    const verdict = receive(CLIENT, { ...TRANSACTION, parameters: { size } }, "mx", { mayRaise: false });
    assert.ok(!(verdict instanceof Promise));
    return verdict.kind === "refuse" ? verdict.reply.code : verdict.kind;
  };
  assert.equal(asked(64 * MIB - 1, 0), 452);
  assert.equal(asked(64 * MIB, 0), "accept");
  assert.equal(asked(64 * MIB, 1), 452);
});

test("a store that fails is answered 4yz, the draft is thrown away, and nothing is offered", async () => {
  for (const step of ["append", "appendLater", "keep"] as const) {
    for (const [error, code] of [
      [new StoreError("full", "disk full"), 452],
      [new StoreError("broken", "EIO"), 451],
      [new Error("a bug"), 451],
    ] as const) {
      const failing = failingStore(step, error);
      const sink = await take({ store: failing });
      assert.equal(await send(sink, "Subject: x\r\n\r\n", "more"), code, `${step} ${error.message}`);
      assert.equal(failing.disposed, 1);
      assert.equal(logged.filter(([event]) => event === events.messageFailed).length, 1);
      logged = [];
    }
  }
  assert.equal(offered.length, 0);
});

test("a message on disk is answered 250 even if the runner cannot take it over, and is left to be found", async () => {
  const sink = await take({
    offer: () => {
      throw new Error("a bug");
    },
  });
  assert.equal(await send(sink, "\r\n"), 250);
  assert.equal((await store.claimDue({ now: START, limit: 10 })).length, 1);
});

test("the trace tells TLS and AUTH", async () => {
  const tls = {
    version: "TLSv1.3",
    cipher: "TLS_AES_128_GCM_SHA256",
    group: null,
    serverName: null,
    resumed: false,
    peerCertificate: null,
  };
  const sink = await take({}, { ...TRANSACTION, identity: "anna" }, { ...CLIENT, tls });
  await send(sink, "\r\n");
  assert.match(
    await bodyOf(offered[0]),
    /\(using TLSv1\.3 with cipher TLS_AES_128_GCM_SHA256\)\s+by mx\.test\s+with ESMTPSA id /,
  );
  assert.equal(offered[0]?.message.origin.tls, "TLSv1.3 TLS_AES_128_GCM_SHA256");
  assert.equal(offered[0]?.message.origin.identity, "anna");
});

test("anybody may stand back, only who is trusted goes before others, and is told otherwise (RFC 6710 §4.1)", async () => {
  const asking = (priority: number) => ({ ...TRANSACTION, parameters: { priority } });
  const replyTo = async (priority: number, mayRaise: boolean): Promise<Reply> => {
    const sink = await take({}, asking(priority), CLIENT, mayRaise);
    return await finish(sink);
  };
  const detail = ({ status }: Reply): string => (status === null ? "" : formatStatus(status));
  assert.equal(detail(await replyTo(-4, false)), "2.0.0");
  assert.equal(detail(await replyTo(7, true)), "2.0.0");
  const lowered = await replyTo(7, false);
  assert.equal(detail(lowered), "2.3.6");
  assert.match(lowered.lines[0] ?? "", /^0 /);
  assert.deepEqual(
    offered.map(({ message }) => message.parameters.priority),
    [-4, 7, 0],
  );
  assert.match(await bodyOf(offered[1]), /\sPRIORITY\s7;/);
});

test("mail for later lives longer by it, mail to be returned when late no longer than that", async () => {
  const lifeOf = async (parameters: Transaction["parameters"]): Promise<number> => {
    await finish(await take({}, { ...TRANSACTION, parameters }));
    const message = offered.at(-1)?.message;
    return (message?.expiresAt ?? 0) - (message?.receivedAt ?? 0);
  };
  assert.equal(await lifeOf({}), 5 * DAY);
  assert.equal(await lifeOf({ hold: { for: 60 } }), 5 * DAY + 60_000);
  assert.equal(offered.at(-1)?.message.recipients[0]?.nextAttempt, START + 60_000);
  assert.equal(await lifeOf({ by: { seconds: 90, mode: "R", trace: false } }), 90_000);
});

test("TLS-Required: No is kept with the message, unless MAIL carried REQUIRETLS or the field is no single No", async () => {
  const cases: readonly [header: string, requireTls: boolean, kept: true | undefined][] = [
    ["TLS-Required: No\r\n", false, true],
    ["tls-required:\r\n no\r\n", false, true],
    ["TLS-Required: No\r\n", true, undefined],
    ["TLS-Required: Yes\r\n", false, undefined],
    ["TLS-Required: No\r\nTLS-Required: No\r\n", false, undefined],
    ["Subject: TLS-Required: No\r\n", false, undefined],
  ];
  for (const [header, requireTls, kept] of cases) {
    const parameters = requireTls ? ({ requireTls: true } as const) : {};
    const sink = await take({}, { ...TRANSACTION, parameters });
    assert.equal(await send(sink, header, "\r\nTLS-Required: No\r\n"), 250);
    const message = offered.at(-1)?.message;
    assert.equal(message?.parameters.tlsOptional, kept, header);
    assert.ok(message);
    assert.equal((await store.get(message.id))?.parameters.tlsOptional, kept, "in the store");
  }
});

test("a message that the policy refuses leaves nothing behind, and its reply is the refusal", async () => {
  const failing = failingStore("keep", new Error("never asked"));
  const receive = createReceiver({
    hostname: "mx.test",
    store: failing,
    offer: () => assert.fail("nothing to offer"),
    freeSpace: () => 1024 * MIB,
    clock: fakeClock(START).clock,
    log,
    limits: { hops: 3, header: 1000, giveUpAfter: 5 * DAY, freeSpaceFloor: 64 * MIB },
  });
  const verdict = await receive(CLIENT, TRANSACTION, "submission", { mayRaise: true });
  assert.ok(verdict.kind === "accept");
  await verdict.sink.refuse(reply(550, "5.7.1", "Not yours"));
  assert.equal(failing.disposed, 1);
  assert.equal(await send(verdict.sink, "Subject: x\r\n\r\nbody\r\n"), 550);
  assert.equal(failing.disposed, 1);
  assert.deepEqual(
    logged.map(([event, fields]) => [event, fields.code]),
    [[events.messageRefused, 550]],
  );
});

test("where the client is hidden the trace field tells nothing of it, and the queue knows", async () => {
  const receive = createReceiver({
    hostname: "mx.test",
    store,
    offer: (accepted) => offered.push(accepted),
    freeSpace: () => 1024 * MIB,
    clock: fakeClock(START).clock,
    log,
    limits: { hops: 3, header: 1000, giveUpAfter: 5 * DAY, freeSpaceFloor: 64 * MIB },
  });
  const verdict = await receive(CLIENT, TRANSACTION, "submission", { mayRaise: true, hideClient: true });
  assert.ok(verdict.kind === "accept");
  assert.equal(await send(verdict.sink, "\r\nbody\r\n"), 250);
  const text = await bodyOf(offered[0]);
  assert.ok(text.startsWith("Received: by mx.test with ESMTP id "), text);
  assert.ok(!text.includes("client.test") && !text.includes(CLIENT.peer.address));
  assert.equal(offered[0]?.message.origin.address, CLIENT.peer.address);
});
