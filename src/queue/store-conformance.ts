import type { ConformanceCase } from "./conformance-case.ts";
import { claiming, keeping } from "./conformance-keeping.ts";
import {
  at,
  claimed,
  DEFERRED,
  DELIVERED,
  equal,
  keepSample,
  settlement,
  stillClock,
  textOf,
} from "./conformance-kit.ts";
import { operating } from "./conformance-operating.ts";
import { settling } from "./conformance-settling.ts";

/** The rules of the port for every store. */
export const storeConformance: readonly ConformanceCase[] = [...keeping, ...claiming, ...settling, ...operating];

/** The rules for stores that outlive their process. */
export const durableConformance: readonly ConformanceCase[] = [
  {
    title: "a reopened queue goes on where it was, without claims",
    async run(open) {
      const before = await open(stillClock);
      const { message } = await keepSample(before, ["a@x.test", "b@x.test", "c@x.test"], { text: "body", claim: true });
      await before.settle(
        settlement(message.id, [
          [0, DELIVERED],
          [1, DEFERRED, at(5000)],
        ]),
      );
      const { message: held } = await keepSample(before, ["d@x.test"]);
      await before.hold(held.id, at(1));
      const [seen, story] = [await before.get(message.id), await before.story(message.id)];
      await before.close();
      const after = await open(stillClock);
      equal(await after.get(message.id), seen, "message");
      equal(await after.story(message.id), story, "story");
      equal(await textOf(after.body(message)), "body", "body");
      equal(await claimed(after, at(4999)), ["c@x.test"], "was in flight");
      equal(await claimed(after, at(5000)), ["b@x.test"], "deferred");
      equal((await after.get(held.id))?.held, true, "held");
      equal(after.nextId() > held.id, true, "ids go on");
      await after.close();
    },
  },
];
