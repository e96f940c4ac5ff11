import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY } from "../base/index.ts";
import { systemClock } from "./clock.ts";

test("a delay beyond what setTimeout knows is waited for in full", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const events: string[] = [];
  systemClock.after(60 * DAY, () => events.push("sixty days"));
  systemClock.after(60 * DAY, () => events.push("cancelled late")).cancel();
  const cancelledOnTheWay = systemClock.after(60 * DAY, () => events.push("cancelled on the way"));
  systemClock.after(-5, () => events.push("at once"));
  context.mock.timers.tick(1);
  assert.deepEqual(events, ["at once"]);
  const stretch = 2 ** 31 - 1;
  context.mock.timers.tick(stretch - 1);
  cancelledOnTheWay.cancel();
  context.mock.timers.tick(stretch);
  context.mock.timers.tick(60 * DAY - 2 * stretch - 1);
  assert.deepEqual(events, ["at once"]);
  context.mock.timers.tick(1);
  assert.deepEqual(events, ["at once", "sixty days"]);
});

test("now is the wall clock", () => {
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
});
