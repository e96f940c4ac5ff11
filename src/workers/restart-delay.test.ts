import assert from "node:assert/strict";
import { test } from "node:test";
import { restartDelay } from "./restart-delay.ts";

test("the wait begins short, doubles, and never exceeds a minute", () => {
  assert.equal(restartDelay(0), 100);
  for (let deaths = 1; deaths < 200; deaths++) {
    const [before, wait] = [restartDelay(deaths - 1), restartDelay(deaths)];
    assert.ok(wait === Math.min(60_000, 2 * before), `${deaths}: ${wait}`);
  }
});
