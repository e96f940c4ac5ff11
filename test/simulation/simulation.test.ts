import assert from "node:assert/strict";
import { test } from "node:test";
import { foundSeeds } from "./seeds.ts";
import { describeSums } from "./sums.ts";
import { describeBroken, runWorlds, type WorldsResult } from "./worlds.ts";

/** What has to go wrong now and then in 150 worlds. */
const FAULTS = [
  ...["cuts, heard by both", "cuts, heard by near", "cuts, heard by far", "cuts, heard by none"],
  ...["refused", "silent", "slowLinks", "overtaking", "outages", "lookups", "policyFetches"],
  ...["temporaryReplies", "permanentReplies", "slowReplies", "hangs", "closes", "greylisted"],
  ...["strippedTls", "wrongCertificates", "brokenHandshakes"],
  ...["commits cut off, kept", "commits cut off, lost"],
  ...[
    "failedSyncs",
    "fullDisks",
    "slowSyncs",
    "crashes",
    "crashesAtCommit",
    "stops",
    "clockJumps",
    "operations",
    "reloads",
  ],
];

function allKept({ broken, unsteady }: WorldsResult): void {
  assert.equal(broken.map(describeBroken).join("\n"), "");
  assert.deepEqual(unsteady, []);
}

test("worlds that once broke a promise keep all of them", { timeout: 220_000 }, async () => {
  allKept(await runWorlds({ seeds: foundSeeds.map(({ seed }) => seed) }));
});

test("150 worlds in which everything goes wrong keep all promises", { timeout: 220_000 }, async (t) => {
  const result = await runWorlds({ seeds: Array.from({ length: 150 }, (_, seed) => seed) });
  t.diagnostic(describeSums(result));
  allKept(result);
  // Worlds in which nothing is sent or nothing goes wrong keep all promises, too.
  const { acknowledged = 0, fromUsers = 0, bounced = 0, repeated = 0, crashes = 0 } = result.counts;
  assert.ok(acknowledged > 2000, "hardly any mail was taken");
  assert.ok(fromUsers > 300, "hardly any of it from users");
  assert.ok(bounced > 500, "hardly any mail was bounced");
  assert.ok(repeated > 20, "no reply was ever lost");
  assert.ok(crashes > 100, "hardly any node went down");
  const never = FAULTS.filter((kind) => (result.faults[kind] ?? 0) < 10);
  assert.deepEqual(never, [], "these hardly ever went wrong");
});

test("one seed is one run", { timeout: 220_000 }, async () => {
  allKept(await runWorlds({ seeds: [1, 2, 3, 5, 8, 13, 21, 34], twice: true }));
});

test("nothing in a world asks the machine for time or chance", { timeout: 220_000 }, async (t) => {
  const { mock } = t;
  const asked = [
    mock.method(Date, "now"),
    mock.method(Math, "random"),
    mock.method(performance, "now"),
    mock.method(globalThis, "setTimeout"),
    mock.method(globalThis, "setImmediate"),
  ];
  const { broken } = await runWorlds({ seeds: [4, 7, 10] });
  const calls = asked.map((each) => each.mock.callCount());
  mock.restoreAll();
  assert.deepEqual(calls, [0, 0, 0, 0, 0]);
  assert.equal(broken.length, 0);
});
