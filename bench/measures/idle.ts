import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { head, type Measure, quiet, row, startSubjects, stopAll } from "../harness.ts";
import { residentMemory } from "../subject.ts";

export const idle: Measure = {
  name: "idle",
  what: "idle TLS connections: memory of each (--messages: how many)",
  async run(options) {
    const connections = options.messages ?? 10_000;
    head("server", "connections", "resident MiB before", "with them", "KiB each");
    for (const name of ["postern", "smtp-server"] as const) {
      const subjects = await startSubjects([name], options);
      for (const subject of subjects) {
        const client = fork(fileURLToPath(new URL("../idle-client.ts", import.meta.url)));
        try {
          // What the first handshakes cost once and for all does not count.
          await hold(client, subject.port, 100);
          await quiet(subject);
          const before = residentMemory(subject.pid);
          await hold(client, subject.port, connections);
          await quiet(subject);
          const with_ = residentMemory(subject.pid);
          const each = ((with_ - before) * 1024) / connections;
          row(subject.name, connections, before.toFixed(0), with_.toFixed(0), each.toFixed(1));
        } finally {
          client.disconnect();
          await stopAll(subjects);
        }
      }
    }
  },
};

async function hold(client: ReturnType<typeof fork>, port: number, count: number): Promise<void> {
  const held = once(client, "message", { signal: AbortSignal.timeout(300_000) });
  client.send({ port, count });
  const [problem]: (string | null)[] = await held;
  if (typeof problem === "string") throw new Error(problem);
}
