import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog, unwrap } from "../base/index.ts";
import { type Client, defaultOffer, type MailRequest } from "../server/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { createPeers, type PeerRules, type Peers } from "./peers.ts";

const rules: PeerRules = {
  name: "partner",
  relay: true,
  senders: [{ kind: "address", mailbox: unwrap(parseMailbox("ann@partner.example")) }],
  limits: { messageSize: null, recipients: null, transactions: null, connections: null },
};

function client(certificate: string | null): Client {
  const end = { address: "192.0.2.1", port: 1 };
  return { sessionId: "s1", peer: end, local: end, tls: null, certificate };
}

function begin(certificate: string | null, changes: Partial<PeerRules> = {}) {
  return createPeers({ rules: [{ ...rules, ...changes }], log: silentLog }).begin(client(certificate), defaultOffer);
}

const hello = { verb: "EHLO", name: "c.test" } as const;

function request(from: string | null): MailRequest {
  const reversePath = from === null ? null : unwrap(parseMailbox(from));
  return { hello, identity: null, reversePath, parameters: {} };
}

test("a client without a certificate, or with one that has no rules, is nobody's", () => {
  assert.equal(begin(null), null);
  assert.equal(begin("stranger"), null);
  assert.equal(begin("partner")?.relay, true);
  assert.equal(begin("partner", { relay: false })?.relay, false);
});

test("what a peer's limits leave open is what everybody is offered", () => {
  assert.deepEqual(begin("partner")?.offer, defaultOffer);
  const limits = { messageSize: 1, recipients: 2, transactions: 3, connections: null };
  const offer = { ...defaultOffer, messageSize: 1, recipients: 2, transactions: 3 };
  assert.deepEqual(begin("partner", { limits })?.offer, offer);
});

test("the null reverse-path is anybody's, all others are judged", async () => {
  const { parts } = begin("partner") ?? assert.fail("no rules");
  const kinds = [null, "ann@partner.example", "bob@partner.example"].map(async (from) => {
    return (await parts.mail?.(request(from)))?.kind;
  });
  assert.deepEqual(await Promise.all(kinds), ["accept", "accept", "refuse"]);
});

test("connections are counted over all of a peer's, and given back at their end", async () => {
  const limits = { ...rules.limits, connections: 2 };
  const peers = createPeers({ rules: [{ ...rules, limits }], log: silentLog });
  const open = () => peers.begin(client("partner"), defaultOffer) ?? assert.fail("no rules");
  const welcome = async (conversation: ReturnType<typeof open>) => await conversation.parts.hello?.(hello);
  const [first, second, third] = [open(), open(), open()];
  assert.equal((await welcome(first))?.kind, "accept");
  assert.equal((await welcome(second))?.kind, "accept");
  const refused = await welcome(third);
  assert.ok(refused?.kind === "refuse" && refused.reply.code === 421 && refused.close === true);
  third.parts.end?.();
  assert.equal((await welcome(open()))?.kind, "refuse", "two are still there");
  for (const gone of [first, second]) gone.parts.end?.();
  assert.equal((await welcome(open()))?.kind, "accept");
});

test("connections that are open count on when the rules change", async () => {
  const connections = new Map<string, number>();
  const limited = (most: number) =>
    createPeers({ rules: [{ ...rules, limits: { ...rules.limits, connections: most } }], connections, log: silentLog });
  const open = (peers: Peers) => peers.begin(client("partner"), defaultOffer) ?? assert.fail("no rules");
  const before = [limited(2), limited(2)].map(open);
  const after = limited(2);
  assert.equal((await open(after).parts.hello?.(hello))?.kind, "refuse");
  for (const gone of before) gone.parts.end?.();
  assert.equal((await open(after).parts.hello?.(hello))?.kind, "accept", "with the refused one, which is not gone yet");
});
