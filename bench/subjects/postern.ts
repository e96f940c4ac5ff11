import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Subject, SubjectOptions } from "../subject.ts";
import { greeting } from "./greeting.ts";

/** As operators of a checkout start it: with the options of Node that go with it. */
const program = fileURLToPath(new URL("../../postern", import.meta.url));

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

${options.postern?.config ?? ""}
[[route]]
match = "*"
via = "smtp://127.0.0.1:${options.sinkPort}"
tls = "${options.relayTls ? "opportunistic" : "off"}"

[limits]
message_size = "${options.messageMiB ?? 50} MiB"
connections = 20000
connections_per_address = 20000

[log]
level = "${process.env.BENCH_LOG_LEVEL ?? "info"}"
format = "json"
`,
  );
  const { prepare } = options.postern ?? {};
  if (prepare !== undefined) {
    await mkdir(join(folder, "data"), { mode: 0o700 });
    await prepare(join(folder, "data"));
  }
  const flags = [...(process.env.BENCH_NODE_FLAGS?.split(" ") ?? []), ...(options.node?.flags ?? [])];
  const child = spawn(program, ["serve", "--config", config], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, ...options.node?.env, NODE_OPTIONS: [process.env.NODE_OPTIONS, ...flags].join(" ") },
  });
  await greeting("postern", options.port, child);
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
