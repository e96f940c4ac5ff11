import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./load.ts";

const BASE = `hostname = "mail.example.org"\n[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\ntls = "none"\n`;

function parsed(text: string) {
  const result = parseConfig(BASE + text, "/etc/postern.toml");
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

function problems(text: string): string[] {
  const result = parseConfig(BASE + text, "/etc/postern.toml");
  assert.ok(!result.ok);
  return result.error.map(({ key }) => key);
}

test("rules for retries and limits are read in order, and say nothing of what they leave out", () => {
  const { retries, limitRules, queue } = parsed(`
[queue]
destination_concurrency = 7
[[retry]]
match = ".example.org"
reply = "4.7.*"
schedule = ["1m", "5m", "1h"]
[[retry]]
match = "*"
first = "10m"
longest = "2h"
give_up_after = "2d"
[[limit]]
match = "mx.example.org"
messages_per_minute = 100
connections = 2
[[limit]]
match = "*"
messages_per_connection = 50
`);
  assert.equal(queue.destinationConcurrency, 7);
  const nothing = { reply: null, first: null, longest: null, schedule: null, giveUpAfter: null };
  assert.deepEqual(retries, [
    { ...nothing, match: ".example.org", reply: "4.7.*", schedule: [60_000, 300_000, 3_600_000] },
    { ...nothing, match: "*", first: 600_000, longest: 7_200_000, giveUpAfter: 172_800_000 },
  ]);
  assert.deepEqual(limitRules, [
    { match: "mx.example.org", messagesPerMinute: 100, connections: 2, messagesPerConnection: null },
    { match: "*", messagesPerMinute: null, connections: null, messagesPerConnection: 50 },
  ]);
  const { retries: none, limitRules: noLimits, queue: usual } = parsed("");
  assert.deepEqual([none, noLimits, usual.destinationConcurrency], [[], [], 20]);
});

for (const reply of ["421", "45*", "5*", "4.*", "4.7.*", "4.7.12", "none"]) {
  test(`${reply} is a reply to wait after`, () => {
    const [rule] = parsed(`[[retry]]\nmatch = "*"\nreply = "${reply}"\nfirst = "1m"\n`).retries;
    assert.equal(rule?.reply, reply);
  });
}

for (const [what, text, keys] of [
  ["a reply that is none", '[[retry]]\nmatch = "*"\nreply = "250"\nfirst = "1m"', ["retry.reply"]],
  ["a rule that changes nothing", '[[retry]]\nmatch = "*"', ["retry.match"]],
  ["waits told twice", '[[retry]]\nmatch = "*"\nfirst = "1m"\nschedule = ["1m"]', ["retry.schedule"]],
  ["an empty schedule", '[[retry]]\nmatch = "*"\nschedule = []', ["retry.schedule"]],
  ["a longest below the first", '[[retry]]\nmatch = "*"\nfirst = "2h"\nlongest = "1h"', ["retry.longest"]],
  ["giving up after all mail is given up", '[[retry]]\nmatch = "*"\ngive_up_after = "6d"', ["retry.give_up_after"]],
  [
    "a rule that an earlier one hides",
    '[[retry]]\nmatch = "*"\nfirst = "1m"\n[[retry]]\nmatch = "a.test"\nreply = "421"\nfirst = "1m"',
    ["retry.match"],
  ],
  ["a limit that limits nothing", '[[limit]]\nmatch = "*"', ["limit.match"]],
  ["no messages", '[[limit]]\nmatch = "*"\nmessages_per_minute = 0', ["limit.messages_per_minute"]],
  [
    "a limit that an earlier one hides",
    '[[limit]]\nmatch = "*"\nconnections = 1\n[[limit]]\nmatch = "a.test"\nconnections = 2',
    ["limit.match"],
  ],
  ["a longest wait below the first", '[queue]\nretry_first = "5h"', ["queue.retry_longest"]],
] as const) {
  test(`refused: ${what}`, () => assert.deepEqual(problems(text), keys));
}

test("a rule for one reply hides none for another", () => {
  const rule = (reply: string) => `[[retry]]\nmatch = "*"\nreply = "${reply}"\nfirst = "1m"\n`;
  assert.equal(parsed(`${rule("421")}${rule("4.7.*")}[[retry]]\nmatch = "a.test"\nfirst = "2m"\n`).retries.length, 3);
});
