// What can be wrong before the first connection: folders, certificates, ports. One plain line each, with what to do.
import { accessSync, constants, mkdirSync, readFileSync, statSync } from "node:fs";
import { openAdmin } from "./admin/index.ts";
import { err, ok, type Result } from "./base/index.ts";
import { type Config, type KeyPairFiles, usersFile } from "./config/index.ts";
import { openCredentials } from "./intake/index.ts";
import { type KeyPair, listen, type NetProblem, ServerTls } from "./net/index.ts";

/** Makes the data folder (mode 0700) where there is none, and tries whether it can be used. Null when all is well. */
export function checkDataFolder(config: Pick<Config, "dataDir">): string | null {
  const { dataDir } = config;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if (!statSync(dataDir).isDirectory()) return `data_dir ${dataDir} is not a folder; name another one`;
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return `data_dir ${dataDir} cannot be used: ${reason}; make it a folder that this user may write`;
  }
}

/** The certificates of the configuration, null where there are none to have. */
export function loadTls(config: Pick<Config, "tls">): Result<ServerTls | null, readonly string[]> {
  if (config.tls === null) return ok(null);
  const keyPairs = readKeyPairs(config.tls.keyPairs);
  if (!keyPairs.ok) return keyPairs;
  const created = ServerTls.create({ keyPairs: keyPairs.value });
  return created.ok ? created : err([`${certificateNames(config.tls.keyPairs)}: ${created.error}`]);
}

/** Puts the certificates as they are on disk now into use; on a problem nothing changes. */
export function reloadTls(config: Pick<Config, "tls">, tls: ServerTls): Result<void, readonly string[]> {
  if (config.tls === null) return ok(undefined);
  const keyPairs = readKeyPairs(config.tls.keyPairs);
  if (!keyPairs.ok) return keyPairs;
  const replaced = tls.replace({ keyPairs: keyPairs.value });
  return replaced.ok ? replaced : err([`${certificateNames(config.tls.keyPairs)}: ${replaced.error}`]);
}

/** Why a listener could not begin, with what to do about it. */
export function listenProblem(endpoint: string, problem: NetProblem): string {
  switch (problem.kind) {
    case "addressInUse":
      return `${endpoint} is already taken by another program; stop that or choose another port in [[listener]] address`;
    case "permission":
      return `${endpoint} may not be opened by this user; ports below 1024 need the right to (CAP_NET_BIND_SERVICE), or choose another`;
    case "addressUnavailable":
      return `${endpoint} is no address of this machine; correct [[listener]] address`;
    default:
      return `${endpoint} cannot be listened on: ${problem.detail}`;
  }
}

/** Everything that can be checked without taking mail; each problem is one line. Ports are not tried while a daemon runs. */
export async function checkConfig(config: Config): Promise<readonly string[]> {
  const problems: string[] = [];
  const folder = checkDataFolder(config);
  if (folder !== null) problems.push(folder);
  const tls = loadTls(config);
  if (!tls.ok) problems.push(...tls.error);
  else if (tls.value !== null && tls.value.expires <= Date.now() && config.tls !== null) {
    problems.push(`${certificateNames(config.tls.keyPairs)}: a certificate expired; put a new one in its place`);
  }
  if (folder !== null) return problems;
  problems.push(...checkUsers(config));
  const admin = await openAdmin(config);
  if (!admin.ok) return [...problems, admin.error];
  const { running } = admin.value;
  await admin.value.close();
  if (!running) problems.push(...(await checkPorts(config)));
  return problems;
}

function checkUsers(config: Config): readonly string[] {
  try {
    const credentials = openCredentials(usersFile(config));
    credentials.list();
    credentials.close();
    return [];
  } catch (cause) {
    return [cause instanceof Error ? cause.message : String(cause)];
  }
}

async function checkPorts(config: Config): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const { address } of config.listeners) {
    const tried = await listen({ ...address, onStream: (stream) => stream.destroy() });
    if (tried.ok) await tried.value.close();
    else problems.push(listenProblem(`${address.address}:${address.port}`, tried.error));
  }
  return problems;
}

function readKeyPairs(files: readonly KeyPairFiles[]): Result<readonly KeyPair[], readonly string[]> {
  const problems: string[] = [];
  const read = (key: string, file: string): string => {
    try {
      return readFileSync(file, "utf8");
    } catch (cause) {
      const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      problems.push(`[tls] ${key}: ${file} cannot be read (${reason}); name a file in PEM that this user may read`);
      return "";
    }
  };
  const keyPairs = files.map(({ certificate, privateKey }) => ({
    certificate: read("certificate", certificate),
    privateKey: read("private_key", privateKey),
  }));
  return problems.length === 0 ? ok(keyPairs) : err(problems);
}

function certificateNames(files: readonly KeyPairFiles[]): string {
  return files.map(({ certificate }) => certificate).join(", ");
}
