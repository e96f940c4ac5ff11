// What can be wrong before the first connection: folders, certificates, ports. One plain line each, with what to do.
import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { openAdmin } from "../admin/index.ts";
import { type Config, isThere, usersFile } from "../config/index.ts";
import { openCredentials } from "../intake/index.ts";
import { inNetworks, type Listener, listen, type NetProblem } from "../net/index.ts";
import { loadTokens } from "./auth.ts";
import { checkCertificates } from "./certificates.ts";
import { loadNextHops } from "./next-hops.ts";
import { openDoors } from "./open-doors.ts";
import { checkAuthorities, loadTls } from "./tls.ts";
import { loadSourceCa } from "./users.ts";

/** Makes the data folder (mode 0700) where there is none, and tries whether it can be used. Null when all is well. */
export function checkDataFolder({ dataDir }: Pick<Config, "dataDir">): string | null {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    return unusable(dataDir, cause);
  }
  return lookAtDataFolder(dataDir);
}

/**
 * The same without making it: whoever checks a configuration may be another user than the one who serves it, who could not use what
 * was made here. Where there is none its place must be one where it can be made.
 */
function lookAtDataFolder(dataDir: string): string | null {
  try {
    let existing = dataDir;
    while (!isThere(existing)) existing = dirname(existing);
    if (!statSync(existing).isDirectory()) return `data_dir ${existing} is not a folder; name another one`;
    accessSync(existing, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (cause) {
    return unusable(dataDir, cause);
  }
}

function unusable(dataDir: string, cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return `data_dir ${dataDir} cannot be used: ${reason}; make it a folder that this user may write`;
}

/** Why a listener could not begin, with what to do about it. `table`: where its address is written. */
export function listenProblem(endpoint: string, problem: NetProblem, table = "[[listener]]"): string {
  switch (problem.kind) {
    case "addressInUse":
      return `${endpoint} is already taken by another program; stop that or choose another port in ${table} address`;
    case "permission":
      return `${endpoint} may not be opened by this user; ports below 1024 need the right to (CAP_NET_BIND_SERVICE), or choose another`;
    case "addressUnavailable":
      return `${endpoint} is no address of this machine; correct ${table} address`;
    default:
      return `${endpoint} cannot be listened on: ${problem.detail}`;
  }
}

/** What is wrong with the files that a configuration names, so that it cannot be put into use. */
export async function checkFiles(config: Config): Promise<readonly string[]> {
  const all = [loadTls(config), loadNextHops(config), await loadTokens(config), loadSourceCa(config)];
  return all.flatMap((loaded) => (loaded.ok ? [] : loaded.error));
}

/** Everything that can be checked without taking mail; each problem is one line. Ports are not tried while a daemon runs. Nothing is made. */
export async function checkConfig(config: Config): Promise<readonly string[]> {
  const problems: string[] = [];
  const folder = lookAtDataFolder(config.dataDir);
  if (folder !== null) problems.push(folder);
  problems.push(
    ...(await checkFiles(config)),
    ...checkCertificates(config, Date.now()).problems,
    ...checkAuthorities(config),
  );
  if (folder !== null) return problems;
  problems.push(...checkUsers(config));
  const admin = await openAdmin(config);
  if (!admin.ok) return [...problems, admin.error];
  const { running } = admin.value;
  await admin.value.close();
  if (!running) problems.push(...(await checkPorts(config)));
  return problems;
}

const isLoopback = inNetworks(["127.0.0.0/8", "::1/128"]);

/** What may be meant as it is written, and should be known; one plain line each. */
export function checkWarnings(config: Config): readonly string[] {
  return [...checkCertificates(config, Date.now()).warnings, ...metricsWarnings(config), ...openDoors(config)];
}

function metricsWarnings({ metrics }: Pick<Config, "metrics">): readonly string[] {
  if (metrics === null || isLoopback(metrics.address.address)) return [];
  const { address, port } = metrics.address;
  return [
    `[metrics] address ${address}:${port} is not loopback, and whoever reaches it may read all metrics; keep others out by a firewall, or write 127.0.0.1:${port}`,
  ];
}

function checkUsers(config: Config): readonly string[] {
  try {
    if (config.auth.source.kind !== "users" || !isThere(usersFile(config))) return [];
    const credentials = openCredentials(usersFile(config));
    credentials.list();
    credentials.close();
    return [];
  } catch (cause) {
    return [cause instanceof Error ? cause.message : String(cause)];
  }
}

/**
 * Tries whether each port is free. Also where workers share them: ports that are shared can be shared with strangers of the same user,
 * too, who would take a part of the mail. And whether the system shares ports at all.
 */
export async function checkPorts(config: Config): Promise<readonly string[]> {
  const problems: string[] = [];
  const wanted = [
    ...config.listeners.map(({ address }) => ({ address, table: "[[listener]]" })),
    ...config.web.map(({ address }) => ({ address, table: "[[web]]" })),
    ...(config.metrics === null ? [] : [{ address: config.metrics.address, table: "[metrics]" }]),
  ];
  // Open together, as they will be: 0.0.0.0:25 leaves no room for 192.0.2.1:25.
  const opened: Listener[] = [];
  for (const { address, table } of wanted) {
    const tried = await listen({ ...address, onStream: (stream) => stream.destroy() });
    if (tried.ok) opened.push(tried.value);
    else problems.push(listenProblem(`${address.address}:${address.port}`, tried.error, table));
  }
  await Promise.all(opened.map((listener) => listener.close()));
  if (config.workers !== 1 && problems.length === 0 && !(await canSharePorts(config))) {
    problems.push("this system cannot share a port among processes (SO_REUSEPORT); write workers = 1");
  }
  return problems;
}

async function canSharePorts({ listeners }: Config): Promise<boolean> {
  const [first] = listeners;
  if (first === undefined) return true;
  const shared = await listen({ ...first.address, reusePort: true, onStream: (stream) => stream.destroy() });
  if (shared.ok) await shared.value.close();
  return shared.ok;
}
