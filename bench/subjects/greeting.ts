import type { ChildProcess } from "node:child_process";
import { createConnection } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Resolves when the server greets on its port; ten seconds at most. */
export async function greeting(name: string, port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    const greeted = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ host: "127.0.0.1", port });
      socket.once("data", () => resolve(true)).once("data", () => socket.end("QUIT\r\n"));
      socket.once("error", () => resolve(false));
    });
    if (greeted) return;
    await sleep(100);
  }
  throw new Error(`${name} did not greet`);
}
