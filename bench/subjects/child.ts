import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Subject, SubjectOptions } from "../subject.ts";

/** A server of the file `name` beside this one, in a process of its own that says "ready" and ends with its channel. */
export async function child(name: string, file: string, options: SubjectOptions): Promise<Subject> {
  const server = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(options)], {
    execArgv: [...process.execArgv, ...(options.node?.flags ?? [])],
    env: { ...process.env, ...options.node?.env },
  });
  await once(server, "message", { signal: AbortSignal.timeout(10_000) });
  return {
    name,
    port: options.port,
    pid: server.pid ?? 0,
    async stop() {
      const ended = once(server, "exit");
      server.disconnect();
      await ended;
    },
  };
}
