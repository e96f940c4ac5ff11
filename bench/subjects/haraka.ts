import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Subject, SubjectOptions } from "../subject.ts";
import { greeting } from "./greeting.ts";

const VERSION = "3.3.4";
const HOME = fileURLToPath(new URL(`../../node_modules/.cache/postern-bench/haraka-${VERSION}/`, import.meta.url));
const PROGRAM = join(HOME, "node_modules/Haraka/bin/haraka");

/** Versions that are to be had; some that Haraka's dependencies ask for are not everywhere. */
const OVERRIDES = { "encoding-japanese": "2.2.0", libqp: "2.1.1", libmime: "5.3.7", libbase64: "1.3.0" };

/** Installs Haraka into a cache of its own; what is in the way of that, or null. */
export async function harakaProblem(): Promise<string | null> {
  try {
    await access(PROGRAM);
    return null;
  } catch {
    // Not there yet.
  }
  try {
    await mkdir(HOME, { recursive: true });
    const wanted = { private: true, dependencies: { Haraka: VERSION }, overrides: OVERRIDES };
    await writeFile(join(HOME, "package.json"), JSON.stringify(wanted));
    const flags = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"];
    await promisify(execFile)("npm", ["install", ...flags], { cwd: HOME, timeout: 180_000 });
    await access(PROGRAM);
    return null;
  } catch (error) {
    return `Haraka ${VERSION} cannot be installed: ${error instanceof Error ? error.message.split("\n")[0] : error}`;
  }
}

/** Its defaults, which a configuration folder of one's own leaves out, with room for large messages. */
const CONNECTION_INI = `[main]
[haproxy]
hosts[] =
[headers]
max_lines=1000
max_received=100
[max]
bytes=134217728
mime_parts=1000
line_length=512
data_line_length=992
[message]
greeting[]=haraka.test
helo=hello
close=closing connection
[uuid]
banner_chars=6
deny_chars=0
`;

/** Takes all for relaying, gives mail for the sink to it, and throws the other away. */
const PLUGIN = (sinkPort: number): string => `
exports.hook_connect = (next, connection) => { connection.relaying = true; next(); };
exports.hook_rcpt = (next) => next(OK);
exports.hook_queue_outbound = (next, connection) =>
  connection.transaction.rcpt_to[0].host === "discard.test" ? next(OK) : next();
exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: "127.0.0.1", port: ${sinkPort} });
`;

/** Haraka at its defaults. It does not sync accepted mail to the disk, so its 250 promises less. */
export async function haraka(options: SubjectOptions): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), "postern-haraka-"));
  await mkdir(join(folder, "config"));
  await mkdir(join(folder, "plugins"));
  const config: Record<string, string> = {
    me: "haraka.test",
    host_list: "discard.test",
    plugins: "tls\nbench",
    "smtp.ini": `listen=127.0.0.1:${options.port}\nnodes=0\n`,
    "connection.ini": CONNECTION_INI,
    "outbound.ini": `enable_tls=${options.relayTls}\nlocal_mx_ok=true\n[tls]\n`,
    "tls.ini": "key=tls_key.pem\ncert=tls_cert.pem\n[outbound]\nrejectUnauthorized=false\n",
    "tls_key.pem": options.privateKey,
    "tls_cert.pem": options.certificate,
    "log.ini": "[main]\nlevel=crit\n",
    loglevel: "LOGCRIT",
  };
  for (const [name, text] of Object.entries(config)) await writeFile(join(folder, "config", name), text);
  await writeFile(join(folder, "plugins", "bench.js"), PLUGIN(options.sinkPort));
  const child = spawn(process.execPath, [PROGRAM, "-c", folder], { stdio: "ignore" });
  await greeting("haraka", options.port, child);
  return {
    name: "haraka",
    port: options.port,
    pid: child.pid ?? 0,
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
