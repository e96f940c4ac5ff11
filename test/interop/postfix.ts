import { execFile } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The services of an ordinary Postfix, without chroot so that it runs from any folder. */
const SERVICES = [
  "pickup unix n - n 60 1 pickup",
  "cleanup unix n - n - 0 cleanup",
  "qmgr unix n - n 300 1 qmgr",
  "tlsmgr unix - - n 1000? 1 tlsmgr",
  "rewrite unix - - n - - trivial-rewrite",
  "bounce unix - - n - 0 bounce",
  "defer unix - - n - 0 bounce",
  "trace unix - - n - 0 bounce",
  "verify unix - - n - 1 verify",
  "flush unix n - n 1000? 0 flush",
  "proxymap unix - - n - - proxymap",
  "proxywrite unix - - n - 1 proxymap",
  "smtp unix - - n - - smtp",
  "relay unix - - n - - smtp",
  "lmtp unix - - n - - lmtp",
  "error unix - - n - - error",
  "retry unix - - n - - error",
  "discard unix - - n - - discard",
  "local unix - n n - - local",
  "virtual unix - n n - - virtual",
  "anvil unix - - n - 1 anvil",
  "scache unix - - n - 1 scache",
  "showq unix n - n - - showq",
  "postlog unix-dgram n - n - 1 postlogd",
];

export interface PostfixOptions {
  /** Port of the smtpd on 127.0.0.1. */
  readonly port: number;
  /** Lines of main.cf on top of the defaults of a loopback peer. */
  readonly settings?: Readonly<Record<string, string>>;
  /** PEM; without them there is no STARTTLS. */
  readonly certificate?: string;
  readonly privateKey?: string;
  /** Makes a folder for mail under the instance's own and returns its path, which stands for PLACE in the settings. */
  readonly place?: (folder: string) => Promise<string>;
}

export interface Postfix {
  readonly folder: string;
  readonly port: number;
  /** The log so far. */
  log(): Promise<string>;
  /** Process id of the master daemon. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** True when a Postfix is installed and we may start one (it wants to be started by root). */
export async function havePostfix(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  return await run("postconf", ["-d", "mail_version"]).then(
    () => true,
    () => false,
  );
}

/** Starts a Postfix of its own folder on loopback and waits until it greets. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const folder = await mkdtemp(join(tmpdir(), "postern-postfix-"));
  await chmod(folder, 0o755);
  for (const name of ["queue", "data", "mail"]) await mkdir(join(folder, name), { recursive: true });
  const [uid, gid] = await identity("postfix");
  await chown(join(folder, "data"), uid, gid);
  await chown(join(folder, "mail"), uid, gid);
  // Postfix writes its log only under /var; the folder's own name keeps two instances apart.
  const log = `/var/log/${folder.split("/").at(-1)}.log`;
  const settings: Record<string, string> = {
    compatibility_level: "3.6",
    queue_directory: join(folder, "queue"),
    data_directory: join(folder, "data"),
    maillog_file: log,
    maillog_file_prefixes: "/var",
    myhostname: "postfix.test",
    mydestination: "",
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    mynetworks: "127.0.0.0/8",
    alias_maps: "",
    alias_database: "",
    local_recipient_maps: "",
    smtpd_client_connection_count_limit: "0",
    smtpd_client_connection_rate_limit: "0",
    in_flow_delay: "0",
    smtp_dns_support_level: "disabled",
    smtp_host_lookup: "native",
  };
  if (options.certificate !== undefined && options.privateKey !== undefined) {
    await writeFile(join(folder, "cert.pem"), options.certificate);
    await writeFile(join(folder, "key.pem"), options.privateKey, { mode: 0o600 });
    settings.smtpd_tls_cert_file = join(folder, "cert.pem");
    settings.smtpd_tls_key_file = join(folder, "key.pem");
    settings.smtpd_tls_security_level = "may";
    settings.smtpd_tls_received_header = "yes";
    settings.smtp_tls_loglevel = "1";
  }
  Object.assign(settings, options.settings);
  const place = (await options.place?.(folder)) ?? "";
  const main = Object.entries(settings).map(([key, value]) => `${key} = ${value.replace("PLACE", place)}\n`);
  await writeFile(join(folder, "main.cf"), main.join(""));
  await writeFile(
    join(folder, "master.cf"),
    `127.0.0.1:${options.port} inet n - n - - smtpd\n${SERVICES.join("\n")}\n`,
  );
  try {
    await run("postfix", ["-c", folder, "start"]);
    await greeting(options.port);
  } catch (cause) {
    throw new Error(`Postfix did not start: ${await readFile(log, "utf8").catch(() => "no log")}`, { cause });
  }
  const pid = Number.parseInt(await readFile(join(folder, "queue/pid/master.pid"), "utf8"), 10);
  return {
    folder,
    port: options.port,
    pid,
    log: () => readFile(log, "utf8"),
    async stop() {
      await run("postfix", ["-c", folder, "stop"]).catch(() => {});
      await rm(folder, { recursive: true, force: true });
      await rm(log, { force: true });
    },
  };
}

async function identity(user: string): Promise<[uid: number, gid: number]> {
  const [uid, gid] = await Promise.all([run("id", ["-u", user]), run("id", ["-g", user])]);
  return [Number(uid.stdout), Number(gid.stdout)];
}

/** Resolves when a server on the port has sent its greeting; waits ten seconds at most. */
async function greeting(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const greeted = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ host: "127.0.0.1", port });
      socket.once("data", () => {
        socket.end("QUIT\r\n");
        resolve(true);
      });
      socket.once("error", () => resolve(false));
      socket.setTimeout(2000, () => socket.destroy(new Error("no greeting")));
    });
    if (greeted) return;
    await sleep(100);
  }
  throw new Error(`nothing greeted on port ${port}`);
}
