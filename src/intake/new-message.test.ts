import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, encodeUtf8, instant, unwrap } from "../base/index.ts";
import { HeaderScanner } from "../message/index.ts";
import type { NewMessage, QueueId } from "../queue/index.ts";
import type { Client, Transaction } from "../server/index.ts";
import { type Mailbox, parseMailbox } from "../smtp/index.ts";
import { type Arrived, newMessage, type Offered, type QueueTerms } from "./new-message.ts";

const ID = "0001" as QueueId;
const NOW = instant(Date.UTC(2026, 10, 22));

const CLIENT: Client = {
  sessionId: "s1",
  peer: { address: "192.0.2.1", port: 40_000 },
  local: { address: "192.0.2.25", port: 25 },
  tls: null,
};

interface Case {
  readonly client?: Partial<Client>;
  readonly transaction?: Partial<Transaction>;
  readonly header?: string;
  readonly arrived?: Partial<Arrived>;
  readonly terms?: Partial<QueueTerms>;
}

function mailbox(text: string): Mailbox {
  return unwrap(parseMailbox(text));
}

function made({ client, transaction, header = "", arrived, terms }: Case): NewMessage {
  const scanner = new HeaderScanner();
  scanner.push(encodeUtf8(`${header}\r\n`));
  const offered: Offered = {
    client: { ...CLIENT, ...client },
    transaction: {
      hello: { verb: "EHLO", name: "client.test" },
      identity: null,
      reversePath: null,
      parameters: {},
      recipients: [{ recipient: mailbox("b@mx.test"), parameters: {} }],
      ...transaction,
    },
    service: "mx",
  };
  const whole = { id: ID, receivedAt: NOW, size: 10, eightBit: false, header: scanner, priority: undefined };
  return newMessage(offered, { ...whole, ...arrived }, { limits: { giveUpAfter: 5 * DAY }, ...terms });
}

test("the queue is told the envelope as it came, until when, and from whom", () => {
  assert.deepEqual(made({}), {
    id: ID,
    receivedAt: NOW,
    expiresAt: NOW + 5 * DAY,
    reversePath: null,
    parameters: {},
    origin: {
      service: "mx",
      sessionId: "s1",
      address: "192.0.2.1",
      hello: "client.test",
      identity: null,
      tls: null,
    },
    recipients: [{ mailbox: mailbox("b@mx.test"), parameters: {} }],
    size: 10,
  });
});

test("a certificate says who came where nobody logged in", () => {
  const of = (certificate: string | null, identity: string | null): string | null =>
    made({ client: { certificate }, transaction: { identity } }).origin.identity;
  assert.equal(of(null, null), null);
  assert.equal(of("printer", null), "certificate:printer");
  assert.equal(of("printer", "anna"), "anna");
});

test("what the next hop is told of the body follows from what came", () => {
  const body = (declared: Transaction["parameters"], eightBit: boolean): unknown =>
    made({ transaction: { parameters: declared }, arrived: { eightBit } }).parameters.body;
  assert.equal(body({}, false), undefined);
  assert.equal(body({}, true), "8BITMIME");
  assert.equal(body({ body: "7BIT" }, true), "8BITMIME");
  assert.equal(body({ body: "BINARYMIME" }, true), "BINARYMIME");
});

test("a priority is the one that was granted", () => {
  const of = (asked: number | undefined, granted: number | undefined): unknown => {
    const parameters = asked === undefined ? {} : { priority: asked };
    return made({ transaction: { parameters }, arrived: { priority: granted } }).parameters;
  };
  assert.deepEqual(of(undefined, undefined), {});
  assert.deepEqual(of(3, 3), { priority: 3 });
  assert.deepEqual(of(3, 0), { priority: 0 });
});

test("one field TLS-Required: No is what REQUIRETLS does not outrank", () => {
  const optional = (header: string, parameters: Transaction["parameters"] = {}): unknown =>
    made({ header, transaction: { parameters } }).parameters.tlsOptional;
  assert.equal(optional("TLS-Required: no\r\n"), true);
  assert.equal(optional("TLS-Required: no\r\n", { requireTls: true }), undefined);
  assert.equal(optional("TLS-Required: no\r\nTLS-Required: no\r\n"), undefined);
  assert.equal(optional(""), undefined);
});

test("a mailbox that was named twice, under whatever name, is one recipient with the parameters given first", () => {
  const [home, alias] = [mailbox("postmaster@mx.test"), mailbox("postmaster@host.test")];
  const recipients = [
    { recipient: alias, parameters: { notify: ["NEVER"] as const } },
    { recipient: home, parameters: {} },
  ];
  const canonical = (one: Mailbox): Mailbox => (one === alias ? home : one);
  assert.deepEqual(made({ transaction: { recipients }, terms: { canonical } }).recipients, [
    { mailbox: home, parameters: { notify: ["NEVER"] } },
  ]);
  assert.equal(made({ transaction: { recipients } }).recipients.length, 2);
});
