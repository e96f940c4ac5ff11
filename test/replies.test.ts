// Every reply that inbound sessions make, held against the registry of enhanced status codes (RFC 5248 §2.4 and what was added).
import assert from "node:assert/strict";
import { test } from "node:test";
import { queuedAs, queuedAtPriority, REPLIES } from "../src/intake/replies.ts";
import * as engine from "../src/server/replies.ts";
import { type DataProblem, formatStatus, type ParameterProblem, type Reply } from "../src/smtp/index.ts";

/** X.subject.detail and the basic codes the registry names for it; "any" where it names none. */
const REGISTRY: Readonly<Record<string, "any" | readonly number[]>> = {
  "X.0.0": "any",
  "X.1.0": "any",
  "X.1.1": [451, 550],
  "X.1.2": "any",
  "X.1.3": [501],
  "X.1.5": [250],
  "X.1.7": "any",
  "X.1.10": [556], // RFC 7505 §5
  "X.2.1": "any",
  "X.3.0": [221, 250, 421, 451, 550, 554],
  "X.3.1": [452],
  "X.3.2": [453, 521], // 521: RFC 7504 §6
  "X.3.4": [552, 554],
  "X.3.6": [250, 251], // RFC 6710 §10
  "X.4.2": [421],
  "X.4.6": "any",
  "X.5.0": [220, 250, 251, 252, 253, 451, 452, 454, 458, 459, 501, 502, 503, 554],
  "X.5.1": [430, 500, 501, 503, 530, 550, 554, 555],
  "X.5.2": [500, 501, 502, 550, 555],
  "X.5.3": [451],
  "X.5.4": [451, 501, 502, 503, 504, 550, 555],
  "X.5.6": [500],
  "X.6.0": "any",
  "X.6.7": [550, 553], // RFC 6531 §3.5
  "X.7.0": [220, 235, 450, 454, 500, 501, 503, 504, 530, 535, 550],
  "X.7.1": [451, 454, 502, 503, 533, 550, 551],
  "X.7.8": [535, 554],
  "X.7.27": [550], // RFC 7505 §5
};

/** Pairs beyond the registry's examples, each with who has it so. */
const BEYOND: Readonly<Record<string, string>> = {
  "502 5.5.1": "RFC 5248 gives 502 to X.5.2, a syntax error; RFC 3463 §3.6 makes X.5.1 the command that is not served",
  "452 4.5.3": "RFC 3463 §3.6: too many recipients, whose basic code RFC 5321 §4.5.3.1.10 makes 452",
  "421 4.3.2": "RFC 3463 §3.4: shutdown; the connection ends, which no other basic code says (RFC 5321 §3.8)",
  "421 4.7.0": "RFC 3463 §3.8: policy; the connection ends, which no other basic code says (RFC 5321 §3.8)",
};

const bodyProblems: Readonly<Record<DataProblem | "tooBig", () => Reply>> = {
  bareNewline: () => engine.badBody("bareNewline"),
  lineTooLong: () => engine.badBody("lineTooLong"),
  nul: () => engine.badBody("nul"),
  tooBig: () => engine.badBody("tooBig"),
};
const commandProblems: Readonly<Record<string, Parameters<typeof engine.badCommand>[0]>> = {
  unknownVerb: { kind: "unknownVerb", verb: "X" },
  badArgument: { kind: "badArgument", verb: "MAIL", expected: "x" },
  badReversePath: { kind: "badAddress", verb: "MAIL", problem: { kind: "syntax", at: 0, expected: "x" } },
  badForwardPath: { kind: "badAddress", verb: "RCPT", problem: { kind: "syntax", at: 0, expected: "x" } },
  badOctets: { kind: "badOctets" },
  http: { kind: "http" },
};
const parameterProblems: Readonly<Record<ParameterProblem["kind"], ParameterProblem>> = {
  unknown: { kind: "unknown", keyword: "X" },
  badValue: { kind: "badValue", keyword: "X", expected: "x" },
  repeated: { kind: "repeated", keyword: "X" },
};

/** How the functions of the engine's page are called, so that one that is added must be added here. */
const made: Readonly<Record<string, () => readonly Reply[]>> = {
  greeting: () => [engine.greeting("mx.test", "smtp"), engine.greeting("mx.test", "lmtp")],
  ehlo: () => [engine.ehlo("mx.test", new Map([["SIZE", ["1"]]]))],
  helo: () => [engine.helo("mx.test")],
  challenge: () => [engine.challenge(Uint8Array.of(1))],
  chunkTaken: () => [engine.chunkTaken(1)],
  badCommand: () => Object.values(commandProblems).map((problem) => engine.badCommand(problem)),
  badParameter: () => Object.values(parameterProblems).map((problem) => engine.badParameter(problem)),
  badBody: () => Object.values(bodyProblems).map((make) => make()),
};

function replies(): readonly (readonly [name: string, reply: Reply])[] {
  const found: (readonly [string, Reply])[] = [];
  for (const [name, value] of Object.entries(engine)) {
    const given = typeof value === "function" ? made[name]?.() : [value];
    assert.ok(given !== undefined, `replies.ts makes ${name}, which is not called here`);
    for (const reply of given) found.push([name, reply]);
  }
  for (const [name, reply] of Object.entries(REPLIES)) found.push([name, reply]);
  found.push(["queuedAs", queuedAs("X")], ["queuedAtPriority", queuedAtPriority(0, "X")]);
  return found;
}

/** RFC 2034 §4: all 2yz, 4yz and 5yz but the greeting and the replies to EHLO and HELO, which come before it is agreed on. */
const WITHOUT_STATUS = new Set(["greeting", "ehlo", "helo"]);

test("each reply has an enhanced status where RFC 2034 §4 wants one, and none elsewhere", () => {
  for (const [name, { code, status }] of replies()) {
    const none = WITHOUT_STATUS.has(name) || (code >= 300 && code < 400);
    assert.equal(status === null, none, `${code} ${name}`);
  }
});

test("its class is that of the code, and the pair is one of the registry's (RFC 5248)", () => {
  const beyond = new Set<string>();
  for (const [name, { code, status }] of replies()) {
    if (status === null) continue;
    assert.equal(status.class, Math.floor(code / 100), name);
    const pair = `${code} ${formatStatus(status)}`;
    const known = REGISTRY[`X.${status.subject}.${status.detail}`];
    if (known === "any" || known?.includes(code)) continue;
    assert.ok(Object.hasOwn(BEYOND, pair), `${pair} (${name}) is not in the registry`);
    beyond.add(pair);
  }
  assert.deepEqual([...beyond].sort(), Object.keys(BEYOND).sort());
});

test("no text says more than it must: no path, no version, no line break", () => {
  for (const [name, { lines }] of replies()) {
    for (const line of lines) assert.doesNotMatch(line, /[\r\n\0]|\/|postern|node\b|\bv?\d+\.\d+\.\d+/i, name);
  }
});
