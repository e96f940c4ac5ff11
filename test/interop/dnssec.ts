import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "../node.ts";
import { program } from "./peers.ts";

export interface DnssecOptions {
  /**
   * Zones by name, each as the lines of a zone file, with names relative to it; SOA and NS are added. All are signed. `anchored`: the
   * validator has the zone's key; `insecure`: it takes the zone as unsigned; `bogus`: it has the key of another zone.
   */
  readonly zones: Readonly<Record<string, { readonly trust: Trust; readonly lines: readonly string[] }>>;
}

type Trust = "anchored" | "insecure" | "bogus";

export interface Dnssec extends AsyncDisposable {
  /** Of the validating server, as `createResolver` takes it. */
  readonly address: string;
  /** Process ids of the two daemons. */
  readonly pids: readonly number[];
}

const LOOPBACK = "127.0.0.1";
const READY_ATTEMPTS = 100;
const READY_PAUSE = 100;
const STOP_TIMEOUT = 5000;

/** Starts a Knot that signs the zones and an Unbound that validates what Knot says, both on loopback, and waits until they answer. */
export async function startDnssec({ zones }: DnssecOptions): Promise<Dnssec> {
  const folder = await mkdtemp(join(tmpdir(), "postern-dnssec-"));
  const [authority = 0, validator = 0] = await freePorts(2);
  const daemons: Daemon[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    for (const [zone, { lines }] of Object.entries(zones))
      await writeFile(join(folder, `${zone}.zone`), zoneFile(lines));
    await writeFile(join(folder, "knot.conf"), knotConfiguration(folder, authority, Object.keys(zones)));
    const knot = new Daemon("knotd", ["-c", join(folder, "knot.conf")]);
    daemons.push(knot);
    const keys = new Map<string, string>();
    for (const zone of Object.keys(zones)) keys.set(zone, await knot.ready(() => keyOf(zone, authority)));
    await writeFile(join(folder, "anchors.key"), anchors(zones, keys));
    await writeFile(join(folder, "unbound.conf"), unboundConfiguration(folder, authority, validator, zones));
    const unbound = new Daemon("unbound", ["-d", "-c", join(folder, "unbound.conf")]);
    daemons.push(unbound);
    await unbound.ready(() => dig(validator, ["version.bind", "CH", "TXT"]));
    return { address: `${LOOPBACK}:${validator}`, pids: daemons.map(({ pid }) => pid), [Symbol.asyncDispose]: stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

function zoneFile(lines: readonly string[]): string {
  const head = ["$TTL 300", "@ IN SOA ns.invalid. root.invalid. 1 3600 600 86400 60", "@ IN NS ns.invalid."];
  return `${[...head, ...lines].join("\n")}\n`;
}

function knotConfiguration(folder: string, port: number, zones: readonly string[]): string {
  // Started by root it would want to become a user who cannot read the folder.
  const user = process.getuid?.() === 0 ? ["    user: root:root"] : [];
  return `${[
    "server:",
    `    listen: ${LOOPBACK}@${port}`,
    `    rundir: ${folder}`,
    ...user,
    ...["database:", `    storage: ${folder}`],
    ...["policy:", "  - id: test", "    algorithm: ecdsap256sha256", "    single-type-signing: on"],
    ...["template:", "  - id: default", `    storage: ${folder}`, "    dnssec-signing: on", "    dnssec-policy: test"],
    ...["    zonefile-load: difference-no-serial", "    journal-content: all", "    zonefile-sync: -1"],
    ...["zone:", ...zones.map((zone) => `  - domain: ${zone}`)],
    ...["log:", "  - target: stderr", "    any: warning"],
  ].join("\n")}\n`;
}

function anchors(zones: DnssecOptions["zones"], keys: ReadonlyMap<string, string>): string {
  const [, other = ""] = [...keys].find(([zone]) => zones[zone]?.trust === "anchored") ?? [];
  const lines = Object.entries(zones).flatMap(([zone, { trust }]) => {
    if (trust === "insecure") return [];
    return [`${zone}. IN DNSKEY ${trust === "bogus" ? other : keys.get(zone)}\n`];
  });
  return lines.join("");
}

function unboundConfiguration(folder: string, from: number, port: number, zones: DnssecOptions["zones"]): string {
  const names = Object.keys(zones);
  return `${[
    "server:",
    `    interface: ${LOOPBACK}@${port}`,
    `    directory: "${folder}"`,
    `    trust-anchor-file: "${join(folder, "anchors.key")}"`,
    ...['    pidfile: ""', '    username: ""', '    chroot: ""', "    use-syslog: no", "    do-daemonize: no"],
    ...["    num-threads: 1", "    do-ip6: no", "    do-not-query-localhost: no", '    local-zone: "test." nodefault'],
    ...names.filter((name) => zones[name]?.trust === "insecure").map((name) => `    domain-insecure: "${name}"`),
    ...["remote-control:", "    control-enable: no"],
    ...names.flatMap((name) => ["stub-zone:", `    name: "${name}"`, `    stub-addr: ${LOOPBACK}@${from}`]),
    // Nothing that is not ours is asked of the Internet: Knot refuses it.
    ...["forward-zone:", '    name: "."', `    forward-addr: ${LOOPBACK}@${from}`],
  ].join("\n")}\n`;
}

/** The zone's key as Knot publishes it, or null while it does not. */
async function keyOf(zone: string, port: number): Promise<string | null> {
  const key = await dig(port, [zone, "DNSKEY"]);
  return key === null || !/^\d+ 3 13 /.test(key) ? null : key;
}

/** The data of the first record, or null where there is no answer. */
async function dig(port: number, question: readonly string[]): Promise<string | null> {
  const fixed = [`@${LOOPBACK}`, "-p", `${port}`, "+short", "+time=1", "+tries=1", "-r"];
  const { code, stdout } = await program("dig", [...fixed, ...question]);
  const [line = ""] = stdout.trim().split("\n");
  return code !== 0 || line === "" || line.startsWith(";") ? null : line;
}

/** A process of ours, with what it said. */
class Daemon {
  readonly #name: string;
  readonly #child: ChildProcess;
  #said = "";
  #failed = false;

  constructor(name: string, args: readonly string[]) {
    this.#name = name;
    this.#child = spawn(name, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.on("error", (error) => {
      this.#failed = true;
      this.#said += error.message;
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#said = (this.#said + text).slice(-4000);
      });
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What `ask` gives once it is not null; throws when the process ends or some ten seconds pass. */
  async ready<T>(ask: () => Promise<T | null>): Promise<T> {
    for (let attempt = 0; attempt < READY_ATTEMPTS && !this.#ended; attempt++) {
      const answer = await ask();
      if (answer !== null) return answer;
      await sleep(READY_PAUSE);
    }
    throw new Error(`${this.#name} did not become ready: ${this.#said}`);
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    const ended = once(this.#child, "exit", { signal: AbortSignal.timeout(STOP_TIMEOUT) });
    this.#child.kill("SIGTERM");
    await ended.catch(() => this.#child.kill("SIGKILL"));
  }

  get #ended(): boolean {
    return this.#failed || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}
