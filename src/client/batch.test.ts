import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { announcedLimits, parseMailbox, readExtensions, reply } from "../smtp/index.ts";
import { scriptedPeer } from "../testing/index.ts";
import { mayBegin, takeBatch } from "./batch.ts";
import { createClient } from "./index.ts";

const offering = (limits: string) => readExtensions(reply(250, null, "mx.test", limits));
const to = (...addresses: readonly string[]) =>
  addresses.map((address) => ({ mailbox: unwrap(parseMailbox(address)) }));

test("LIMITS is read; what is no limit is passed over (RFC 9422)", () => {
  assert.deepEqual(announcedLimits(offering("LIMITS MAILMAX=10 RCPTMAX=5 RCPTDOMAINMAX=1")), {
    mailMax: 10,
    rcptMax: 5,
    rcptDomainMax: 1,
  });
  assert.deepEqual(announcedLimits(offering("LIMITS MAILMAX=0 RCPTMAX=1234567 RCPTDOMAINMAX OTHER=3 rcptmax=x")), {
    mailMax: null,
    rcptMax: null,
    rcptDomainMax: null,
  });
  assert.equal(announcedLimits(offering("SIZE")).mailMax, null);
});

test("a transaction takes RCPTMAX recipients, of RCPTDOMAINMAX domains, in order", () => {
  const all = to("a@x.test", "b@y.test", "c@x.test", "d@z.test", "e@y.test");
  const [a, b, c, d, e] = all;
  assert.deepEqual(takeBatch(all, offering("LIMITS RCPTMAX=2")), { now: [a, b], later: [c, d, e] });
  assert.deepEqual(takeBatch(all, offering("LIMITS RCPTDOMAINMAX=2")), { now: [a, b, c, e], later: [d] });
  assert.deepEqual(takeBatch(all, offering("LIMITS RCPTMAX=3 RCPTDOMAINMAX=1")), { now: [a, c], later: [b, d, e] });
  assert.deepEqual(takeBatch(all, offering("SIZE")), { now: all, later: [] });
});

test("without LIMITS 100 recipients, which every server takes (RFC 5321 §4.5.3.1.8)", () => {
  const all = to(...Array.from({ length: 1500 }, (_, n) => `u${n}@x.test`));
  assert.equal(takeBatch(all, offering("SIZE")).now.length, 100);
  assert.equal(takeBatch(all, offering("LIMITS RCPTMAX=500")).now.length, 500);
  assert.equal(takeBatch(all, offering("LIMITS RCPTMAX=99999")).now.length, 1000);
});

test("a session begins MAILMAX transactions", () => {
  const extensions = offering("LIMITS MAILMAX=2");
  assert.equal(mayBegin({ transactions: 1, extensions }), true);
  assert.equal(mayBegin({ transactions: 2, extensions }), false);
  assert.equal(mayBegin({ transactions: 2000, extensions: offering("SIZE") }), true);
});

test("a client with more recipients than RCPTMAX says them in several transactions, A-labels where SMTPUTF8 is missing", async () => {
  const take = ["S: 250 ok", "C: RCPT TO:*", "S: 250 ok", "C: DATA", "S: 354 go", "C: ...", "C: .", "S: 250 ok"];
  const script = ["S: 220 mx", "C: EHLO *", "S: 250-mx", "S: 250 LIMITS RCPTMAX=1"];
  const peer = await scriptedPeer([
    ...script,
    ...["C: MAIL FROM:*", ...take, "C: MAIL FROM:*", ...take],
    ...["C: QUIT", "S: 221 bye"],
  ]);
  try {
    await using client = createClient({ host: "127.0.0.1", port: peer.port, tls: "none" });
    const to = ["a@x.test", "b@m\u00fcnchen.test"];
    const sent = unwrap(await client.send({ from: null, to, message: "Hi\r\n" }));
    assert.deepEqual(
      sent.recipients.map(({ address, result }) => `${address} ${result.kind}`),
      ["a@x.test accepted", "b@m\u00fcnchen.test accepted"],
    );
    const utf8 = unwrap(await client.send({ from: null, to: "\u00fc@x.test", message: "Hi\r\n" }));
    const [refused] = utf8.recipients;
    assert.equal(refused?.result.kind === "refused" && refused.result.local === true && refused.result.reply.code, 553);
    await client.close();
    const { received, problem } = await peer.played;
    assert.equal(problem, null);
    assert.ok(received.includes("RCPT TO:<b@xn--mnchen-3ya.test>"));
  } finally {
    await peer.close();
  }
});
