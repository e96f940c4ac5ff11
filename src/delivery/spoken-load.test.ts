import assert from "node:assert/strict";
import { test } from "node:test";
import { instant } from "../base/index.ts";
import type { MailParameters, RcptParameters } from "../smtp/index.ts";
import { fixtureMessage } from "./fixtures.test.ts";
import { onwardOf, spokenLoad } from "./spoken-load.ts";

const ARRIVED = 1_795_312_700_000;

interface Case {
  readonly parameters: MailParameters;
  readonly notify?: RcptParameters["notify"];
  readonly offers?: readonly string[];
  readonly protocol?: "smtp" | "lmtp";
  /** Seconds since it came. */
  readonly after?: number;
  readonly fromNobody?: boolean;
}

function spoken({ parameters, notify, offers = [], protocol = "smtp", after = 0, fromNobody = false }: Case) {
  const message = fixtureMessage(["b@there.test"], parameters);
  const recipients = message.recipients.map((one) => ({
    ...one,
    parameters: notify === undefined ? {} : { notify },
  }));
  const load = {
    reversePath: fromNobody ? null : message.reversePath,
    parameters,
    receivedAt: message.receivedAt,
    recipients,
    body: { size: 0, chunks: () => [] },
  };
  const hop = { protocol, extensions: new Map(offers.map((keyword) => [keyword, []])) };
  const told = spokenLoad(load, hop, instant(ARRIVED + after * 1000));
  return { parameters: told.parameters, notify: told.recipients[0]?.parameters.notify };
}

const by = (seconds: number, mode: "R" | "N"): MailParameters => ({ by: { seconds, mode, trace: true } });

test("what says nothing of this hop goes on as it is", () => {
  const parameters = { envid: "x", ret: "FULL", priority: -3, size: 5 } as const;
  assert.deepEqual(spoken({ parameters }).parameters, parameters);
});

test("the term that is left is spoken, with its mode (RFC 2852 §4.1.4)", () => {
  const offers = ["DELIVERBY"];
  assert.deepEqual(spoken({ parameters: by(120, "R"), offers, after: 22 }).parameters, by(98, "R"));
  assert.deepEqual(spoken({ parameters: by(120, "N"), offers, after: 150 }).parameters, by(-30, "N"));
  assert.equal(spoken({ parameters: by(120, "N"), offers }).notify, undefined, "nothing added to what was asked");
});

test("who does not know of terms is asked to tell of delays (RFC 2852 §4.1.4.2)", () => {
  const parameters = by(120, "N");
  assert.deepEqual(spoken({ parameters }).notify, ["FAILURE", "DELAY"]);
  assert.deepEqual(spoken({ parameters, notify: ["SUCCESS"] }).notify, ["SUCCESS", "DELAY"]);
  assert.deepEqual(spoken({ parameters, notify: ["DELAY"] }).notify, ["DELAY"]);
  assert.deepEqual(spoken({ parameters, notify: ["NEVER"] }).notify, ["NEVER"]);
  assert.equal(spoken({ parameters, after: 121 }).notify, undefined, "its time is over and told of");
});

test("a message that is to come back is delivered by LMTP all the same: there it is in time", () => {
  const parameters = by(120, "R");
  assert.deepEqual(spoken({ parameters, protocol: "lmtp" }).parameters, {});
  assert.deepEqual(spoken({ parameters, protocol: "lmtp", offers: ["DELIVERBY"] }).parameters, parameters);
  // The client refuses it (RFC 2852 §4.1.4.1).
  assert.deepEqual(spoken({ parameters }).parameters, parameters);
});

test("mail that was held is not held again", () => {
  assert.deepEqual(spoken({ parameters: { hold: { for: 60 } }, offers: ["FUTURERELEASE"] }).parameters, {});
});

test("a report goes on where REQUIRETLS is not known, a message does not (RFC 8689 §5)", () => {
  const parameters: MailParameters = { requireTls: true };
  assert.deepEqual(spoken({ parameters }).parameters, parameters);
  assert.deepEqual(spoken({ parameters, fromNobody: true }).parameters, {});
  assert.deepEqual(spoken({ parameters, fromNobody: true, offers: ["REQUIRETLS"] }).parameters, parameters);
});

test("an LMTP server without DSN ends the way; every other hop carries it on", () => {
  const all = new Map([
    ["DSN", []],
    ["DELIVERBY", []],
  ]);
  assert.equal(onwardOf("lmtp", new Map()), undefined);
  assert.deepEqual(onwardOf("lmtp", all), { dsn: true, deliverBy: true });
  assert.deepEqual(onwardOf("smtp", new Map()), { dsn: false, deliverBy: false });
});
