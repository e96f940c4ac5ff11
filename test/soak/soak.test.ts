import assert from "node:assert/strict";
import { test } from "node:test";
import { soak } from "./soak.ts";

const SECOND = 1000;
const MIB = 1024 * 1024;

test("mixed traffic adds up to the message, and the daemon tells how it is doing meanwhile", {
  timeout: 180_000,
}, async (t) => {
  const { tally, queued, samples, growth, disturbances, rate } = await soak({ length: 20 * SECOND, rate: 60 });
  const { sent, acknowledged, notTaken, delivered, bounced, excused, ...faults } = tally;
  t.diagnostic(`${rate} messages/s, sent ${sent}, delivered ${delivered}, bounced ${bounced}, excused ${excused}`);
  assert.ok(delivered > 100 && bounced > 10, "the traffic did not get going");
  assert.equal(sent, acknowledged + notTaken);
  assert.equal(delivered + bounced, acknowledged);
  assert.deepEqual(faults, { open: [], repeated: [], altered: [], wrong: [] });
  assert.equal(queued, 0);
  assert.deepEqual(disturbances.failed, []);
  assert.ok(disturbances.reloads > 0 && disturbances.userChanges > 0 && disturbances.peers > 0);
  // Too short for the daemon to be warm: only what is out of all proportion counts here. `npm run soak` looks closely.
  assert.ok(samples.length > 5, "the daemon did not tell how it is doing");
  for (const { rss, handles } of samples) {
    assert.ok(rss > 10 * MIB && rss < 1024 * MIB, `memory ${rss}`);
    assert.ok(handles > 5 && handles < 300, `handles ${handles}`);
  }
  assert.notEqual(growth, null);
});
