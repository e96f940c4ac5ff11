import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Subject, SubjectOptions } from "../subject.ts";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** Postern at its defaults, sync included; only limits that would throttle one client are lifted. */
export async function postern(options: SubjectOptions): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), "postern-bench-"));
  await writeFile(join(folder, "cert.pem"), options.certificate);
  await writeFile(join(folder, "key.pem"), options.privateKey, { mode: 0o600 });
  const config = join(folder, "postern.toml");
  await writeFile(
    config,
    `hostname = "postern.test"
data_dir = "data"
workers = ${process.env.BENCH_WORKERS ?? 1}

[[listener]]
address = "127.0.0.1:${options.port}"
service = "mx"
tls = "starttls"

[tls]
certificate = "cert.pem"
private_key = "key.pem"

[[domain]]
name = "discard.test"
deliver = "discard:"

[relay]
networks = ["127.0.0.0/8"]

[[route]]
match = "*"
via = "smtp://127.0.0.1:${options.sinkPort}"
tls = "${options.relayTls ? "opportunistic" : "off"}"

[limits]
connections = 5000
connections_per_address = 5000

[log]
level = "${process.env.BENCH_LOG_LEVEL ?? "info"}"
format = "json"
`,
  );
  const flags = process.env.BENCH_NODE_FLAGS?.split(" ") ?? [];
  const child = spawn(process.execPath, [...flags, main, "serve", "--config", config], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await greeting(options.port, child);
  return {
    name: "postern",
    port: options.port,
    pid: child.pid ?? 0,
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function greeting(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) throw new Error(`postern ended with ${child.exitCode}`);
    const greeted = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ host: "127.0.0.1", port });
      socket.once("data", () => resolve(true)).once("data", () => socket.end("QUIT\r\n"));
      socket.once("error", () => resolve(false));
    });
    if (greeted) return;
    await sleep(100);
  }
  throw new Error("postern did not greet");
}
