import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { parseConfig } from "../config/index.ts";
import { divided, formerWorkers } from "./share.ts";

const config = unwrap(
  parseConfig(
    `hostname = "a.test"
[[listener]]
address = "127.0.0.1:0"
service = "mx"
tls = "none"
[limits]
connections = 1000
connections_per_address = 50
memory = "64 MiB"
[queue]
concurrency = 3
[[limit]]
match = "b.test"
messages_per_minute = 60
connections = 10
`,
    "/postern.toml",
  ),
);

test("what all workers may do together is what is written, but for what chance hands to them", () => {
  assert.equal(divided(config, 1), config);
  for (const workers of [2, 4, 64]) {
    const part = divided(config, workers);
    const total = (each: number): number => each * workers;
    assert.ok(total(part.limits.connections) >= 1000 && total(part.limits.connections - 1) < 1000);
    assert.ok(total(part.limits.memory) >= config.limits.memory);
    assert.ok(part.limits.connectionsPerAddress >= (1.5 * 50) / workers);
    assert.ok(part.limits.connectionsPerAddress <= (1.5 * 50) / workers + 2);
    assert.ok(part.queue.concurrency >= 1 && part.queue.concurrency <= 2);
    assert.equal(total(part.limitRules[0]?.messagesPerMinute ?? 0), 60);
    assert.equal(part.limitRules[0]?.connections, Math.ceil(10 / workers));
    assert.equal(part.limitRules[0]?.messagesPerConnection, null);
    assert.equal(part.limits.messageSize, config.limits.messageSize);
  }
});

test("a limit as small as a client's due is not made smaller", () => {
  const small = { ...config, limits: { ...config.limits, connectionsPerAddress: 2 } };
  assert.equal(divided(small, 2).limits.connectionsPerAddress, 2);
  assert.equal(divided(small, 64).limits.connectionsPerAddress, 2);
});

test("each former worker's queue has one worker that sees it through, and no other's is touched", () => {
  for (let workers = 1; workers <= 8; workers++) {
    const withQueue = [1, 2, 3, 5, 8, 13, 64];
    const shares = Array.from({ length: workers }, (_, at) => ({ worker: at + 1, workers }));
    const taken = shares.flatMap((share) => formerWorkers(withQueue, share));
    assert.deepEqual(
      taken.toSorted((a, b) => a - b),
      withQueue.filter((worker) => worker > workers),
    );
  }
});
