// With real processes, whose work is to say who they are.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { type Log, type LogFields, unwrap } from "../base/index.ts";
import { systemClock } from "../net/index.ts";
import { createSupervisor, type Supervisor } from "./supervisor.ts";

interface Task {
  readonly worker: number;
  readonly first: number | null;
}

/** What the processes do: `refuse` cannot start, `deaf` never stops, `mute` dies before it is ready. */
const PROGRAM = `
import { existsSync, readFileSync } from "node:fs";
import { serveOrders } from ${JSON.stringify(new URL("./index.ts", import.meta.url).href)};
const told = () => existsSync(new URL("./mood", import.meta.url)) ? readFileSync(new URL("./mood", import.meta.url), "utf8") : "";
serveOrders(async (task) => {
  const mood = told();
  if (mood.includes("refuse" + task.worker)) return { ok: false, error: ["worker cannot", "because " + task.worker] };
  if (mood.includes("mute" + task.worker)) process.exit(3);
  console.log(JSON.stringify(task));
  const life = setInterval(() => {}, 1000);
  return {
    ok: true,
    value: {
      report: process.pid,
      reload: async () => told().includes("broken") ? { ok: false, error: ["broken file"] } : { ok: true, value: undefined },
      tell: async () => {
        if (told().includes("sulks" + task.worker)) throw new Error("nothing to say");
        if (told().includes("silent" + task.worker)) await new Promise(() => {});
        return "I am " + task.worker;
      },
      stop: async () => { if (!mood.includes("deaf" + task.worker)) clearInterval(life); },
    },
  };
});
`;

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "postern-workers-"));
  await writeFile(join(folder, "program.mjs"), PROGRAM);
});
after(() => rm(folder, { recursive: true, force: true }));

interface Scene {
  readonly supervisor: Supervisor<number, string>;
  readonly events: readonly (LogFields & { readonly event: string })[];
  /** What the workers said at their starts, so far. */
  tasks(): readonly Task[];
}

async function withSupervisor(
  options: { readonly count: number; readonly mood?: string; readonly patience?: number },
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  await writeFile(join(folder, "mood"), options.mood ?? "");
  const events: (LogFields & { readonly event: string })[] = [];
  const note = (event: string, fields: LogFields = {}): void => void events.push({ event, ...fields });
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  const output = new PassThrough();
  let said = "";
  output.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const supervisor = createSupervisor<Task, number, string>({
    program: pathToFileURL(join(folder, "program.mjs")),
    count: options.count,
    task: (worker, first) => ({ worker, first }),
    output,
    patience: () => options.patience ?? 5000,
    clock: systemClock,
    log,
  });
  const tasks = (): readonly Task[] =>
    said
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  try {
    await body({ supervisor, events, tasks });
  } finally {
    await supervisor.stop();
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; waited < 200 && !condition(); waited++) await sleep(25);
  assert.ok(condition(), String(condition));
}

const running = async (): Promise<string> => "running";
const substitute = async (): Promise<string> => "substitute";

test("the first starts before the others, who are told what it reports", async () => {
  await withSupervisor({ count: 3 }, async ({ supervisor, events, tasks }) => {
    const first = unwrap(await supervisor.start());
    assert.deepEqual(tasks()[0], { worker: 1, first: null });
    assert.deepEqual(
      tasks()
        .slice(1)
        .toSorted((a, b) => a.worker - b.worker),
      [
        { worker: 2, first },
        { worker: 3, first },
      ],
    );
    for (const worker of [1, 2, 3]) assert.equal(await supervisor.use(worker, running, substitute), "running");
    assert.deepEqual(await supervisor.reload(), { ok: true, value: undefined });
    await writeFile(join(folder, "mood"), "broken");
    assert.deepEqual(await supervisor.reload(), { ok: false, error: ["broken file"] }, "once, not three times");
    await supervisor.stop();
    assert.equal(events.filter(({ event }) => event === "worker.started").length, 3);
    assert.equal(await supervisor.use(2, running, substitute), "substitute");
  });
});

test("where one cannot start none does, and what it says is the result", async () => {
  await withSupervisor({ count: 3, mood: "refuse2 refuse3" }, async ({ supervisor }) => {
    assert.deepEqual(await supervisor.start(), { ok: false, error: ["worker cannot", "because 2", "because 3"] });
    assert.equal(await supervisor.use(1, running, substitute), "substitute");
  });
  await withSupervisor({ count: 2, mood: "mute1" }, async ({ supervisor, events }) => {
    const started = await supervisor.start();
    assert.ok(!started.ok && /worker 1 ended while it started \(code 3\)/.test(started.error.join()));
    assert.equal(events.length, 0);
  });
});

test("one that dies is started again, also when that fails at first; no start overtakes what is done in its place", async () => {
  await withSupervisor({ count: 2 }, async ({ supervisor, events }) => {
    const first = unwrap(await supervisor.start());
    await writeFile(join(folder, "mood"), "refuse1");
    process.kill(first, "SIGKILL");
    await until(() => events.some(({ event }) => event === "worker.refused"));
    assert.equal(events.find(({ event }) => event === "worker.died")?.signal, "SIGKILL");
    assert.equal(await supervisor.use(2, running, substitute), "running");

    const waits = events.flatMap(({ again }) => (typeof again === "number" ? [again] : []));
    assert.deepEqual(waits.slice(0, 2), [100, 200]);
    await writeFile(join(folder, "mood"), "");
    const restarts = (): number => events.filter(({ event }) => event === "worker.started").length;
    // Far longer than the wait for the next start.
    const acted = await supervisor.use(1, running, async () => {
      await sleep(700);
      return `substitute, after ${restarts()} starts`;
    });
    assert.equal(acted, "substitute, after 2 starts");
    await until(() => restarts() === 3);
    assert.equal(await supervisor.use(1, running, substitute), "running");
  });
});

test("one that is told alone to stop ends in order, and is started again", async () => {
  await withSupervisor({ count: 2 }, async ({ supervisor, events }) => {
    process.kill(unwrap(await supervisor.start()), "SIGTERM");
    await until(() => events.filter(({ event }) => event === "worker.started").length === 3);
    const died = events.find(({ event }) => event === "worker.died");
    assert.deepEqual([died?.worker, died?.code, died?.signal], [1, 0, null]);
  });
});

test("one that does not stop in time is ended by force", async () => {
  await withSupervisor({ count: 2, mood: "deaf2", patience: 300 }, async ({ supervisor, events }) => {
    unwrap(await supervisor.start());
    await supervisor.stop();
    assert.deepEqual(
      events.flatMap(({ event, worker }) => (event === "worker.killed" ? [worker] : [])),
      [2],
    );
  });
});

test("each is asked how it is doing; one that is gone, broken or late says nothing, and holds nobody up", async () => {
  await withSupervisor({ count: 3 }, async ({ supervisor, events }) => {
    assert.deepEqual(await supervisor.tell(5000), [null, null, null], "none runs yet");
    const first = unwrap(await supervisor.start());
    assert.deepEqual(await supervisor.tell(5000), ["I am 1", "I am 2", "I am 3"]);
    await writeFile(join(folder, "mood"), "sulks2 silent3");
    assert.deepEqual(await supervisor.tell(300), ["I am 1", null, null]);

    await writeFile(join(folder, "mood"), "silent1 refuse1");
    const late = supervisor.tell(60_000);
    process.kill(first, "SIGKILL");
    await until(() => events.some(({ event }) => event === "worker.died"));
    assert.equal((await Promise.race([late, sleep(20_000, ["no answer"])]))[0], null, "its death is an answer");
  });
});
