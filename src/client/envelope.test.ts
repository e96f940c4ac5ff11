import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { formatStatus, type MailParameters, parseMailbox } from "../smtp/index.ts";
import { mailCommand, unsupported } from "./envelope.ts";

const message = (parameters: MailParameters) => ({
  reversePath: null,
  parameters,
  recipients: [{ mailbox: unwrap(parseMailbox("b@x.test")), parameters: {} }],
  body: { size: null, chunks: () => [] },
});

const server = (...lines: readonly string[]) =>
  new Map(lines.map((line) => [line.split(" ")[0] ?? "", line.split(" ").slice(1)]));

/** The enhanced status of our own refusal, or null where it may be sent. */
function refused(parameters: MailParameters, ...lines: readonly string[]): string | null {
  const reply = unsupported(message(parameters), server(...lines));
  return reply === null ? null : reply.status === null ? `${reply.code}` : formatStatus(reply.status);
}

const by = (seconds: number, mode: "R" | "N"): MailParameters => ({ by: { seconds, mode, trace: false } });

test("what the server offers is spoken, what it does not offer and may be dropped is not", () => {
  const parameters: MailParameters = { ...by(60, "N"), priority: -4, hold: { for: 9 }, envid: "e", ret: "HDRS" };
  const offered = server("DELIVERBY", "MT-PRIORITY", "FUTURERELEASE 99 2030-01-01T00:00:00Z", "DSN");
  const line = mailCommand(message(parameters), offered);
  assert.equal(line, "MAIL FROM:<> RET=HDRS ENVID=e BY=60;N HOLDFOR=9 MT-PRIORITY=-4");
  assert.equal(mailCommand(message(parameters), server()), "MAIL FROM:<>");
});

test("mail to be returned when late goes only where that is done in time (RFC 2852 §4.1.4.1)", () => {
  assert.equal(refused(by(60, "R")), "5.3.3");
  assert.equal(refused(by(60, "R"), "DELIVERBY"), null);
  assert.equal(refused(by(60, "R"), "DELIVERBY 60"), null);
  assert.equal(refused(by(60, "R"), "DELIVERBY 61,x"), "5.4.7");
  assert.equal(refused(by(0, "R"), "DELIVERBY"), "5.4.7");
  assert.equal(refused(by(60, "N")), null);
  assert.equal(refused(by(-60, "N"), "DELIVERBY 30"), null);
});

test("what a server does not take is not sent to it: 8-bit, binary and international mail, mail that demands TLS", () => {
  assert.equal(refused({ body: "8BITMIME" }), "5.6.3");
  assert.equal(refused({ body: "8BITMIME" }, "8BITMIME"), null);
  assert.equal(refused({ body: "BINARYMIME" }, "8BITMIME", "BINARYMIME"), "5.6.3", "goes by BDAT only");
  assert.equal(refused({ body: "BINARYMIME" }, "BINARYMIME", "CHUNKING"), null);
  assert.equal(refused({ smtputf8: true }, "8BITMIME"), "5.6.7");
  assert.equal(refused({ smtputf8: true }, "8BITMIME", "SMTPUTF8"), null);
  assert.equal(refused({ requireTls: true }), "5.7.30");
  assert.equal(refused({ requireTls: true }, "REQUIRETLS"), null);
  const demanding = message({ requireTls: true });
  assert.equal(mailCommand(demanding, server("REQUIRETLS")), "MAIL FROM:<> REQUIRETLS");
});

test("mail for later is not given to who would send it at once (RFC 4865 §4.1)", () => {
  assert.equal(refused({ hold: { until: "2030-01-01T00:00:00Z" } }), "5.3.3");
  assert.equal(refused({ hold: { for: 1 } }, "FUTURERELEASE 9 2030-01-01T00:00:00Z"), null);
});
