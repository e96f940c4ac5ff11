import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "./ledger.ts";
import { readMessage, testMessage } from "./messages.ts";

const toHop = testMessage(1);
const recipient = toHop.recipients[0] ?? "";
const refused = testMessage(3);

function snapshot(kill: number, waiting: readonly string[] = [], whole = true) {
  return { kill, point: "here", waiting: new Set(waiting), whole };
}

test("mail that was acknowledged, and is neither in the queue nor arrived at a kill, is lost", () => {
  const ledger = new Ledger();
  ledger.acknowledged(toHop);
  ledger.killed(snapshot(1, [recipient]));
  assert.deepEqual(ledger.close().lost, [`${recipient} (at the end)`]);
  ledger.killed(snapshot(2));
  assert.deepEqual(ledger.close().lost, [`${recipient} (kill 2, here)`]);
});

test("nothing is lost that arrived, or whose report arrived, or that lives on in another process", () => {
  const ledger = new Ledger();
  ledger.acknowledged(toHop);
  ledger.acknowledged(refused);
  ledger.killed(snapshot(1, [], false));
  ledger.killed(snapshot(2, [recipient, ...refused.refused]));
  ledger.arrived(recipient, 2, true);
  ledger.reported(refused.number, 2);
  const { lost, repeats, falseReports } = ledger.close();
  assert.deepEqual([lost, repeats, falseReports], [[], [], []]);
});

test("a failure whose report is gone is lost mail, too", () => {
  const ledger = new Ledger();
  ledger.acknowledged(refused);
  ledger.killed(snapshot(1));
  assert.equal(ledger.close().lost.length, 1);
});

test("a repeat is explained by a kill at which the queue still held what had arrived", () => {
  const ledger = new Ledger();
  ledger.arrived(recipient, 0, true);
  ledger.killed(snapshot(1, [recipient]));
  ledger.arrived(recipient, 1, true);
  assert.deepEqual(ledger.close().repeats, [{ recipient, kill: { kill: 1, point: "here" } }]);
});

test("a repeat is not explained by a kill after the commit, by none, or by one that explains another", () => {
  for (const [kills, lives] of [
    [[snapshot(1)], [0, 1]],
    [[], [0, 0]],
    [[snapshot(1, [recipient])], [0, 0]],
    [[snapshot(2, [recipient])], [0, 1]],
    [[snapshot(1, [recipient])], [0, 1, 1]],
  ] as const) {
    const ledger = new Ledger();
    const arrive = (life: number): void => ledger.arrived(recipient, life, true);
    for (const life of lives.filter((each) => each === 0)) arrive(life);
    for (const kill of kills) ledger.killed(kill);
    for (const life of lives.filter((each) => each > 0)) arrive(life);
    assert.ok(ledger.close().repeats.some(({ kill }) => kill === null));
  }
});

test("a report on mail of which nothing failed is a finding, and so is an altered message", () => {
  const ledger = new Ledger();
  ledger.reported(toHop.number, 0);
  ledger.arrived(recipient, 0, false);
  const { altered, falseReports } = ledger.close();
  assert.deepEqual([altered, falseReports], [[recipient], [toHop.sender]]);
});

test("a message is known again behind trace fields, and only as it was sent", () => {
  const sent = Buffer.from(testMessage(12).octets).toString("latin1");
  assert.deepEqual(readMessage(`Received: x\r\n${sent}`), { number: 12, intact: true });
  assert.deepEqual(readMessage(sent.slice(0, -1)), { number: 12, intact: false });
  assert.equal(readMessage("Subject: other\r\n\r\n"), null);
});
