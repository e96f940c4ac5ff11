import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MetricName, Readings } from "./catalogue.ts";
import { Meter } from "./meter.ts";
import { RollCall, type Told } from "./roll-call.ts";

function told(life: string, values: Partial<Record<MetricName, number>>): Told {
  const meter = new Meter();
  for (const [name, value] of Object.entries(values)) meter.cell(name as MetricName).value = value; // keys of the record above
  return { life, readings: meter.readings() };
}

const value = (readings: Readings, name: MetricName): number | undefined => readings.get(name)?.get("");

test("counters and gauges of all workers are added up; of times the earliest counts", () => {
  const sum = new RollCall(2).sum([
    told("a", { deaths: 1, queued: 10, nextDue: 500, counted: 30 }),
    told("b", { deaths: 2, queued: 5, nextDue: 400, counted: 40 }),
  ]);
  assert.deepEqual(
    (["deaths", "queued", "nextDue", "counted"] as const).map((name) => value(sum, name)),
    [3, 15, 400, 30],
  );
});

test("histograms are added up bucket by bucket", () => {
  const tell = (life: string, ...seconds: readonly number[]): Told => {
    const meter = new Meter();
    for (const each of seconds) meter.histogram("sync").observe(each);
    return { life, readings: meter.readings() };
  };
  const series = new RollCall(2).sum([tell("a", 0.001, 1), tell("b", 0.001)]).get("sync");
  assert.deepEqual(
    [series?.get('_bucket{le="0.001"}'), series?.get('_bucket{le="+Inf"}'), series?.get("_count")],
    [2, 3, 3],
  );
});

test("what a worker counted stays when it is gone, and when it is back; its queue is still there, its work is not", () => {
  const roll = new RollCall(2);
  const other = told("b", { downgrades: 1 });
  roll.sum([told("a", { downgrades: 5, queued: 7, delivering: 3 }), other]);
  const gone = roll.sum([null, other]);
  assert.deepEqual([value(gone, "downgrades"), value(gone, "queued"), value(gone, "delivering")], [6, 7, undefined]);
  const back = roll.sum([told("a2", { downgrades: 2, queued: 6, delivering: 1 }), other]);
  assert.deepEqual([value(back, "downgrades"), value(back, "queued"), value(back, "delivering")], [8, 6, 1]);
  const again = roll.sum([told("a2", { downgrades: 4, queued: 6 }), other]);
  assert.equal(value(again, "downgrades"), 10);
  assert.equal(value(roll.sum([told("a3", {}), null]), "downgrades"), 10);
});

test("what says which process it is of begins anew with that", () => {
  const cpu = (life: string, seconds: number): Told => {
    const meter = new Meter();
    meter.cell("cpu", "1", "user").value = seconds;
    return { life, readings: meter.readings() };
  };
  const roll = new RollCall(1);
  roll.sum([cpu("a", 100)]);
  assert.equal(
    roll
      .sum([cpu("b", 1)])
      .get("cpu")
      ?.get('{worker="1",mode="user"}'),
    1,
  );
  assert.equal(roll.sum([null]).has("cpu"), false);
});

test("no counter ever falls, whichever worker answers, dies or comes back", () => {
  const step = fc.record({ worker: fc.nat(2), kind: fc.constantFrom("count", "die", "silent"), by: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const roll = new RollCall(3);
      const workers = [0, 1, 2].map(() => ({ life: 0, count: 0, told: 0, toldLife: 0, past: 0 }));
      let before = 0;
      for (const { worker, kind, by } of steps) {
        for (const [at, one] of workers.entries()) {
          if (at !== worker) continue;
          if (kind === "count") one.count += by;
          if (kind === "die") Object.assign(one, { life: one.life + 1, count: 0 });
        }
        const answers = workers.map((one, at) => {
          if (kind === "silent" && at === worker) return null;
          if (one.toldLife !== one.life) one.past += one.told;
          Object.assign(one, { told: one.count, toldLife: one.life });
          return told(`${at} ${one.life}`, { downgrades: one.count });
        });
        const now = value(roll.sum(answers), "downgrades") ?? 0;
        assert.ok(now >= before, `${before} became ${now}`);
        assert.equal(
          now,
          workers.reduce((sum, one) => sum + one.past + one.told, 0),
        );
        before = now;
      }
    }),
  );
});
