import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../test/node.ts";
import {
  type BenchOptions,
  head,
  type Measure,
  quiet,
  row,
  type SubjectName,
  startSubjects,
  stopAll,
} from "../harness.ts";
import type { IdleTask } from "../idle-client.ts";
import { mallocHeap, residentMemory, type SubjectOptions } from "../subject.ts";

/** One server, in one way of being called. */
interface Idle {
  readonly subject: SubjectName;
  readonly as: string;
  readonly more: Partial<SubjectOptions>;
  /** Of a listener with implicit TLS; null: STARTTLS at the subject's own port. */
  readonly implicitPort: number | null;
}

/** Held before the measure begins: what the first handshakes cost once and for all does not count. */
const FIRST = 100;
const SETTLING = 5000;
/** What V8 chooses by itself on machines with little memory. */
const SMALL_YOUNG_GENERATION = "--max-semi-space-size=16";

export const idle: Measure = {
  name: "idle",
  what:
    "idle TLS connections after EHLO: memory of each, of the server's process alone, no collection forced; the ceiling is the least that " +
    "a TLS server in Node costs (--messages: how many)",
  async run(options) {
    const connections = options.messages ?? 10_000;
    head("server", "connections", "resident MiB before", "with them", "KiB each", "malloc's heap", "V8's and the rest");
    for (const idle of await idles()) await measure(idle, connections, options);
  },
};

async function idles(): Promise<readonly Idle[]> {
  const [implicitPort = 0] = await freePorts(1);
  const config = `[[listener]]\naddress = "127.0.0.1:${implicitPort}"\nservice = "mx"\ntls = "implicit"\n`;
  const small = { node: { flags: [SMALL_YOUNG_GENERATION], env: {} } };
  return [
    { subject: "postern", as: "postern, STARTTLS", more: {}, implicitPort: null },
    { subject: "postern", as: "postern, implicit TLS", more: { postern: { config } }, implicitPort },
    { subject: "postern", as: `postern, STARTTLS, ${SMALL_YOUNG_GENERATION}`, more: small, implicitPort: null },
    { subject: "ceiling", as: "ceiling, STARTTLS", more: {}, implicitPort: null },
    { subject: "smtp-server", as: "smtp-server, STARTTLS", more: {}, implicitPort: null },
  ];
}

async function measure(idle: Idle, connections: number, options: BenchOptions): Promise<void> {
  const subjects = await startSubjects([idle.subject], options, idle.more);
  for (const subject of subjects) {
    const client = fork(fileURLToPath(new URL("../idle-client.ts", import.meta.url)));
    const memory = async () => {
      await quiet(subject);
      await sleep(SETTLING);
      return { resident: residentMemory(subject.pid), malloc: mallocHeap(subject.pid) };
    };
    const task = { port: idle.implicitPort ?? subject.port, implicit: idle.implicitPort !== null };
    try {
      await hold(client, { ...task, count: FIRST });
      const before = await memory();
      await hold(client, { ...task, count: connections });
      const now = await memory();
      const all = ((now.resident - before.resident) * 1024) / connections;
      const malloc = ((now.malloc - before.malloc) * 1024) / connections;
      const figures = [all, malloc, all - malloc].map((each) => each.toFixed(1));
      row(idle.as, connections, before.resident.toFixed(0), now.resident.toFixed(0), ...figures);
    } finally {
      client.disconnect();
      await stopAll(subjects);
    }
  }
}

async function hold(client: ReturnType<typeof fork>, task: IdleTask): Promise<void> {
  const held = once(client, "message", { signal: AbortSignal.timeout(300_000) });
  client.send(task);
  const [problem]: (string | null)[] = await held;
  if (typeof problem === "string") throw new Error(problem);
}
