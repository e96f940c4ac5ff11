import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SECOND, silentLog, unwrap } from "../base/index.ts";
import type { Client, Transaction } from "../server/index.ts";
import { type Mailbox, parseDomain, parseMailbox, reply } from "../smtp/index.ts";
import { fakeClock } from "../testing/index.ts";
import { freeSpaceOf } from "./free-space.ts";
import { createHome } from "./home.ts";
import { createRelayPolicy } from "./relay.ts";
import { REPLIES } from "./replies.ts";

const mailbox = (text: string): Mailbox => unwrap(parseMailbox(text));
const domain = (text: string) => unwrap(parseDomain(text));

const HOME = createHome({ hostname: domain("host.test"), domains: [domain("ours.test"), domain("b\u00fccher.test")] });

function client(address: string): Client {
  return { sessionId: "s1", peer: { address, port: 1 }, local: { address: "192.0.2.25", port: 25 }, tls: null };
}

const STRANGER = "198.51.100.1";
const NEIGHBOUR = "192.0.2.7";

async function judge(
  recipient: string,
  address = STRANGER,
  knows?: (mailbox: Mailbox) => boolean | Promise<boolean>,
): Promise<string> {
  const policy = createRelayPolicy({
    home: HOME,
    mayRelay: (peer) => peer === NEIGHBOUR,
    receive: () => ({ kind: "refuse", reply: reply(452, "4.3.1", "x") }),
    limits: { messageSize: 1000, recipients: 10 },
    log: silentLog,
    ...(knows === undefined ? {} : { knows }),
  });
  const conversation = policy.begin(client(address));
  const transaction: Transaction = {
    hello: { verb: "EHLO", name: "x" },
    identity: null,
    reversePath: null,
    parameters: {},
    recipients: [],
  };
  const verdict = await conversation.recipient?.({ recipient: mailbox(recipient), parameters: {} }, transaction);
  assert.ok(verdict);
  return verdict.kind === "accept"
    ? "accept"
    : `${verdict.reply.code} ${Object.values(verdict.reply.status ?? {}).join(".")}`;
}

test("a stranger may write to our domains and nowhere else", async () => {
  assert.equal(await judge("anyone@ours.test"), "accept");
  assert.equal(await judge("anyone@OURS.test"), "accept");
  for (const foreign of [
    "a@elsewhere.test",
    "a@sub.ours.test",
    "a@ours.test.elsewhere.test",
    "a@host.test",
    "a@[192.0.2.25]",
    "postmaster@elsewhere.test",
    "postmaster@[192.0.2.25]",
    '"a@ours.test"@elsewhere.test',
  ]) {
    assert.equal(await judge(foreign), "550 5.7.1", foreign);
  }
});

test("a client of our networks may write anywhere", async () => {
  assert.equal(await judge("a@elsewhere.test", NEIGHBOUR), "accept");
  assert.equal(await judge("a@ours.test", NEIGHBOUR), "accept");
});

test("both spellings of an internationalized domain are ours", async () => {
  assert.equal(await judge("a@b\u00fccher.test"), "accept");
  assert.equal(await judge("a@xn--bcher-kva.test"), "accept");
  assert.equal(await judge("a@xn--bcher-kvb.test"), "550 5.7.1");
});

test("unknown mailboxes are refused where they are known to be unknown, never the postmaster", async () => {
  for (const knows of [
    (asked: Mailbox) => asked.localPart === "anna",
    async (asked: Mailbox) => asked.localPart === "anna",
  ]) {
    assert.equal(await judge("anna@ours.test", STRANGER, knows), "accept");
    assert.equal(await judge("bob@ours.test", STRANGER, knows), "550 5.1.1");
    assert.equal(await judge("PostMaster@ours.test", STRANGER, knows), "accept");
    assert.equal(await judge("postmaster@host.test", STRANGER, knows), "accept");
    assert.equal(await judge("bob@elsewhere.test", NEIGHBOUR, knows), "accept", "not ours to know");
  }
});

test("the postmaster of the host is the postmaster of the first domain", () => {
  assert.deepEqual(HOME.canonical(mailbox("postmaster@host.test")), mailbox("postmaster@ours.test"));
  assert.deepEqual(HOME.canonical(mailbox("Postmaster@b\u00fccher.test")), mailbox("Postmaster@b\u00fccher.test"));
  assert.deepEqual(HOME.canonical(mailbox("anna@host.test")), mailbox("anna@host.test"));
  const listed = createHome({ hostname: domain("host.test"), domains: [domain("ours.test"), domain("host.test")] });
  assert.deepEqual(listed.canonical(mailbox("postmaster@host.test")), mailbox("postmaster@host.test"));
  const bare = createHome({ hostname: domain("host.test"), domains: [] });
  assert.equal(bare.takes(mailbox("postmaster@host.test")), false, "there is nobody to deliver it to");
});

test("the public service demands neither TLS nor AUTH, and offers no AUTH", () => {
  const policy = createRelayPolicy({
    home: HOME,
    mayRelay: () => false,
    receive: () => ({ kind: "refuse", reply: reply(452, "4.3.1", "x") }),
    limits: { messageSize: 1000, recipients: 10 },
    log: silentLog,
  });
  const offer = policy.begin(client(STRANGER)).offer();
  assert.deepEqual([offer.requireTls, offer.requireAuth, offer.mechanisms], [false, false, []]);
  assert.deepEqual([offer.messageSize, offer.recipients], [1000, 10]);
});

test("free space is asked once a second, and a file system that does not tell is endless", () => {
  const { clock, advance } = fakeClock();
  const folder = mkdtempSync(join(tmpdir(), "space-"));
  const free = freeSpaceOf(folder, clock);
  assert.ok(Number.isFinite(free()) && free() > 0);
  rmSync(folder, { recursive: true });
  assert.ok(Number.isFinite(free()), "still known");
  advance(SECOND);
  assert.equal(free(), Number.POSITIVE_INFINITY);
});

test("VRFY is the engine's 252, or 502 where the operator wants none", () => {
  const options = {
    home: HOME,
    mayRelay: () => false,
    receive: () => ({ kind: "refuse", reply: reply(452, "4.3.1", "x") }) as const,
    limits: { messageSize: 1000, recipients: 10 },
    log: silentLog,
  };
  assert.equal(createRelayPolicy(options).begin(client(STRANGER)).verify, undefined);
  const silent = createRelayPolicy({ ...options, vrfy: false }).begin(client(STRANGER));
  assert.deepEqual(silent.verify?.("postmaster"), REPLIES.vrfyOff);
});
