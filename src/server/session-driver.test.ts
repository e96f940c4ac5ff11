import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, silentLog, unwrap } from "../base/index.ts";
import { parseCommand, parseDomain, reply } from "../smtp/index.ts";
import { fakeClock } from "../testing/index.ts";
import { definePolicy, type PolicyParts } from "./define-policy.ts";
import { Journal } from "./journal.ts";
import { defaultLimits } from "./limits.ts";
import { openSession } from "./session.ts";
import { SessionDriver, type Stage } from "./session-driver.ts";
import type { Event } from "./state.ts";
import { Timing } from "./timing.ts";

/** A driver whose stage writes down what it is to do. */
function bench(parts: Partial<PolicyParts> = {}, changes: { tarpit?: number; greetingDelay?: number } = {}) {
  const { clock, advance } = fakeClock();
  const limits = { ...defaultLimits, softErrors: 1, ...changes };
  const did: string[] = [];
  const stage: Stage = {
    followed: false,
    reply: ({ code }) => void did.push(String(code)),
    receive: ({ kind }) => {
      did.push(kind);
      driver.takeSink();
    },
    dropMessage() {},
    depart: ({ kind }) => void did.push(kind),
    close: () => {
      did.push("close");
      driver.close();
    },
    guard: (action) => action(),
    run: () => void did.push("run"),
  };
  const sink = { write() {}, finish: () => reply(250, "2.0.0", "Ok"), abort: () => void did.push("abort") };
  const driver = new SessionDriver({
    session: openSession({
      hostname: unwrap(parseDomain("mx.test")),
      protocol: "smtp",
      secure: false,
      startTls: "offered",
      certificate: "notRequired",
      xclient: null,
      limits,
    }),
    client: {
      sessionId: "s1",
      peer: { address: "192.0.2.1", port: 1 },
      local: { address: "::1", port: 25 },
      tls: null,
    },
    policy: definePolicy({ body: () => sink, end: () => void did.push("end"), ...parts }),
    clock,
    log: silentLog,
    limits,
    timing: new Timing(clock, limits),
    journal: new Journal(silentLog),
    stage,
  });
  const say = (...lines: readonly string[]): void => {
    for (const line of lines) driver.apply(command(line));
  };
  return { driver, did, say, advance, sink };
}

function command(line: string): Event {
  return { kind: "command", command: unwrap(parseCommand(encodeUtf8(line))), followed: false };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const UP_TO_DATA = ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@mx.test>", "DATA"];

test("a policy that decides at once is not waited for", () => {
  const { driver, did, say } = bench();
  driver.begin();
  say(...UP_TO_DATA);
  assert.deepEqual(did, ["220", "250", "250", "250", "354", "receiveBody"]);
  assert.equal(driver.busy, false);
  assert.equal(driver.phase.name, "receiving");
});

test("a policy that thinks keeps the driver busy; its decision is done, and then the exchange goes on", async () => {
  const { driver, did } = bench({ connect: async () => ({ kind: "accept" }) });
  driver.begin();
  assert.deepEqual([driver.busy, driver.asking, did], [true, true, []]);
  await turn();
  assert.deepEqual([driver.busy, driver.asking, did], [false, false, ["220", "run"]]);
});

test("a delay of ours is no wait for the policy, and holds back all that comes behind it", () => {
  const { driver, did, say, advance } = bench({}, { greetingDelay: 1000, tarpit: 500 });
  driver.begin();
  assert.deepEqual([driver.busy, driver.asking, did], [true, false, []]);
  advance(1000);
  assert.deepEqual(did.splice(0), ["220", "run"]);
  say("EHLO c.test", "RCPT TO:<b@mx.test>");
  assert.deepEqual(did.splice(0), ["250"]);
  assert.equal(driver.busy, true);
  advance(500);
  assert.deepEqual(did, ["503", "run"]);
});

test("what is decided after the end is undone: the sink that it opened is aborted, nothing is said", async () => {
  for (const end of ["close", "cut"] as const) {
    const thinking: { readonly body: PolicyParts["body"] } = { body: async () => opened.sink };
    const opened: ReturnType<typeof bench> = bench(thinking);
    const { driver, did, say } = opened;
    driver.begin();
    say(...UP_TO_DATA);
    assert.equal(driver.asking, true);
    did.length = 0;
    driver[end]();
    assert.deepEqual([driver.dead, driver.over], [true, end === "cut"]);
    if (end === "cut") driver.end();
    await turn();
    assert.deepEqual(did, end === "cut" ? ["end", "abort"] : ["abort"]);
  }
});

test("a delay that was cut comes to nothing", () => {
  const { driver, did, advance } = bench({}, { greetingDelay: 1000 });
  driver.begin();
  driver.cut();
  advance(2000);
  assert.deepEqual(did, []);
});

test("STARTTLS ends the session by the hand of the exchange", () => {
  const { driver, did, say } = bench();
  driver.begin();
  say("EHLO c.test", "STARTTLS");
  assert.deepEqual(did, ["220", "250", "220", "startTls"]);
});
