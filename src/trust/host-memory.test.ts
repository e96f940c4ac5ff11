import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { DAY, HOUR, type Log, later, silentLog } from "../base/index.ts";
import { fakeClock } from "../testing/index.ts";
import { createHostMemory } from "./host-memory.ts";
import type { HostProof } from "./model.ts";

const NAMED: HostProof = { tls: true, version: "TLSv1.3", authenticated: "name" };
const PLAIN_TLS: HostProof = { tls: true, version: "TLSv1.2", authenticated: "no" };
const CLEAR: HostProof = { tls: false, version: null, authenticated: "no" };

function setUp(hold = DAY, max = 100_000, log: Log = silentLog) {
  const file = new DatabaseSync(":memory:");
  const time = fakeClock();
  const open = () => createHostMemory({ file, clock: time.clock, hold, max, log });
  return { file, time, memory: open(), open };
}

test("what a host proved is recalled for that domain and host alone, and outlives the process", () => {
  const { memory, open, time } = setUp();
  memory.proved("example.org", "mx.example.net", NAMED);
  const known = {
    ...NAMED,
    domain: "example.org",
    host: "mx.example.net",
    provenAt: time.clock.now(),
    fellAt: null,
  };
  assert.deepEqual(memory.recall("example.org", "mx.example.net"), known);
  assert.deepEqual(open().recall("example.org", "mx.example.net"), known);
  assert.equal(memory.recall("example.com", "mx.example.net"), null);
  assert.equal(memory.recall("example.org", "mx2.example.net"), null);
});

test("a host that falls is held to what it proved for the set time from the first fall on, and then believed", () => {
  const { memory, time } = setUp();
  memory.proved("a.example", "mx", NAMED);
  const until = later(time.clock.now(), DAY);
  assert.equal(memory.fell("a.example", "mx"), until);
  time.advance(20 * HOUR);
  assert.equal(memory.fell("a.example", "mx"), until, "a later fall does not prolong it");
  assert.equal(memory.recall("a.example", "mx")?.authenticated, "name");
  memory.proved("a.example", "mx", CLEAR);
  assert.equal(memory.recall("a.example", "mx")?.tls, true, "less does not replace it while it is held");
  time.advance(4 * HOUR);
  assert.equal(memory.recall("a.example", "mx"), null);
  memory.proved("a.example", "mx", CLEAR);
  assert.deepEqual(memory.recall("a.example", "mx"), {
    ...CLEAR,
    domain: "a.example",
    host: "mx",
    provenAt: time.clock.now(),
    fellAt: null,
  });
});

test("a host that shows all of it again has not fallen", () => {
  const { memory, time } = setUp();
  memory.proved("a.example", "mx", NAMED);
  memory.fell("a.example", "mx");
  time.advance(HOUR);
  memory.proved("a.example", "mx", PLAIN_TLS);
  assert.notEqual(memory.recall("a.example", "mx")?.fellAt, null);
  memory.proved("a.example", "mx", NAMED);
  assert.equal(memory.recall("a.example", "mx")?.fellAt, null);
  time.advance(3 * DAY);
  assert.equal(memory.recall("a.example", "mx")?.authenticated, "name");
});

test("a host that fell and came back is held to no version any more, for several machines may stand behind its name", () => {
  const { memory, time } = setUp();
  memory.proved("a.example", "mx", NAMED);
  memory.fell("a.example", "mx");
  time.advance(HOUR);
  memory.proved("a.example", "mx", NAMED);
  const { version, authenticated, tls } = memory.recall("a.example", "mx") ?? {};
  assert.deepEqual([version, authenticated, tls], ["mixed", "name", true]);
  time.advance(2 * HOUR);
  memory.proved("a.example", "mx", { ...NAMED, version: "TLSv1.2" });
  memory.proved("a.example", "mx", NAMED);
  const later = memory.recall("a.example", "mx");
  assert.deepEqual([later?.version, later?.provenAt], ["mixed", time.clock.now()]);
  memory.clear("mx");
  memory.proved("a.example", "mx", NAMED);
  assert.equal(memory.recall("a.example", "mx")?.version, "TLSv1.3");
});

test("each kind of proof rises by itself and none sinks", () => {
  const { memory } = setUp();
  memory.proved("a.example", "mx", { tls: true, version: "TLSv1.2", authenticated: "dane" });
  memory.proved("a.example", "mx", { tls: true, version: "TLSv1.3", authenticated: "no" });
  const known = memory.recall("a.example", "mx");
  assert.deepEqual([known?.version, known?.authenticated], ["TLSv1.3", "dane"]);
});

test("a proof seen again is written once an hour, and other readers see it", () => {
  const { file, memory, time } = setUp();
  const written = () => file.prepare("SELECT total_changes() AS n").get()?.n;
  memory.proved("a.example", "mx", NAMED);
  const first = written();
  for (let i = 0; i < 10; i++) {
    time.advance(5 * 60_000);
    memory.proved("a.example", "mx", NAMED);
  }
  assert.equal(written(), first);
  time.advance(10 * 60_000);
  memory.proved("a.example", "mx", NAMED);
  assert.notEqual(written(), first);
  assert.equal(memory.recall("a.example", "mx")?.provenAt, time.clock.now());
});

test("what was not proven for 180 days is forgotten", () => {
  const { memory, time } = setUp();
  memory.proved("a.example", "mx", NAMED);
  time.advance(180 * DAY);
  assert.equal(memory.recall("a.example", "mx"), null);
  assert.equal(memory.fell("a.example", "mx"), time.clock.now());
  memory.proved("b.example", "mx", NAMED);
  assert.deepEqual(
    memory.list(null).hosts.map(({ domain }) => domain),
    ["b.example"],
  );
});

test("an unknown host cannot fall, and a hold of 0 holds none", () => {
  const { memory, time } = setUp();
  assert.equal(memory.fell("a.example", "mx"), time.clock.now());
  const off = setUp(0);
  off.memory.proved("a.example", "mx", NAMED);
  assert.equal(off.memory.recall("a.example", "mx"), null);
});

test("the memory is bounded: those longest not proven go first", () => {
  const { memory, time } = setUp(DAY, 20);
  for (let i = 0; i < 50; i++) {
    time.advance(1000);
    memory.proved(`d${i}.example`, "mx", NAMED);
  }
  const { hosts } = memory.list(null);
  assert.ok(hosts.length <= 22, String(hosts.length));
  assert.notEqual(memory.recall("d49.example", "mx"), null);
  assert.equal(memory.recall("d0.example", "mx"), null);
});

test("hosts that need the classical groups are spared the large ClientHello for a week", () => {
  const { memory, time } = setUp();
  assert.equal(memory.classicalOnly("mx.example"), false);
  memory.rememberClassical("mx.example");
  assert.equal(memory.classicalOnly("mx.example"), true);
  assert.equal(memory.classicalOnly("mx2.example"), false);
  assert.deepEqual(memory.list(null).classical, [{ host: "mx.example", until: later(time.clock.now(), 7 * DAY) }]);
  time.advance(7 * DAY);
  assert.equal(memory.classicalOnly("mx.example"), false);
  assert.deepEqual(memory.list(null).classical, []);
});

test("an operator lists and clears by domain, by host, or all", () => {
  const { memory } = setUp();
  memory.proved("a.example", "mx.example", NAMED);
  memory.proved("b.example", "mx.example", NAMED);
  memory.proved("b.example", "mx2.example", NAMED);
  memory.rememberClassical("mx2.example");
  assert.equal(memory.list("b.example").hosts.length, 2);
  assert.equal(memory.list("mx.example").hosts.length, 2);
  assert.equal(memory.clear("nobody.example"), 0);
  assert.equal(memory.clear("a.example"), 1);
  assert.equal(memory.recall("a.example", "mx.example"), null);
  assert.equal(memory.clear("mx2.example"), 2);
  assert.equal(memory.clear(null), 1);
  assert.deepEqual(memory.list(null), { hosts: [], classical: [] });
});

test("a file that fails is told of, and stops nothing", () => {
  const lines: string[] = [];
  const { file, memory } = setUp(DAY, 10, { ...silentLog, warn: (event) => void lines.push(event) });
  file.exec("DROP TABLE host_memory; DROP TABLE host_classical");
  assert.equal(memory.recall("a.example", "mx"), null);
  memory.proved("a.example", "mx", NAMED);
  memory.fell("a.example", "mx");
  assert.equal(memory.classicalOnly("mx"), false);
  memory.rememberClassical("mx");
  assert.deepEqual(lines, Array(5).fill("trust.memory.failed"));
});
