// A Postern of its own folder and ports, run as a user runs it: by its command line, in its own process.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "../src/testing/index.ts";

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
/** The options that Node is given where users run the program: those in its first line. */
const NODE_OPTIONS = /^#!\S+ -S node (.+)/.exec(readFileSync(MAIN, "utf8"))?.[1]?.split(" ") ?? [];
const READY_ATTEMPTS = 200;
const STOP_TIMEOUT = 15_000;

export interface NodeOptions {
  readonly hostname?: string;
  /** Domains that end in this node's Maildirs. */
  readonly domains?: readonly string[];
  /** TOML of further sections: routes, relay, limits, queue. */
  readonly config?: string;
  /** Users of submission, name to password. */
  readonly users?: Readonly<Record<string, string>>;
  /** Further files of its folder, name to content. */
  readonly files?: Readonly<Record<string, string>>;
  /** Processes that serve; 1 by default. */
  readonly workers?: number;
  /** Port of the `mx` listener; any free one by default. */
  readonly mxPort?: number;
  /** The least important line of its log; "debug" by default. */
  readonly logLevel?: "debug" | "info" | "warn";
  /** Given each event of the log, which is then not kept in `log`, nor anything in `output`: for what runs long. */
  readonly onLog?: (event: Readonly<Record<string, unknown>>) => void;
}

/** How a daemon is started that something is to happen to. */
export interface Launch {
  /** Added to its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** A program, with arguments, that runs it and replaces itself by it or lets it be the child that we see (`strace -D`). */
  readonly under?: readonly string[];
  /** Looked at until it greets: true once what was to happen has, after which it may never greet. Then `start` is over. */
  readonly over?: () => boolean;
}

export interface Node {
  readonly folder: string;
  readonly config: string;
  readonly ports: { readonly mx: number; readonly submission: number; readonly submissions: number };
  /** Process id of the running daemon. */
  readonly pid: number;
  /** What it logged so far, event by event. */
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** All that it wrote so far to standard output and standard error, as it was written. */
  readonly output: string;
  /** Runs a `postern` command with this node's configuration. */
  command(...args: readonly (string | { readonly stdin: string })[]): Promise<CommandResult>;
  /** The messages in a user's Maildir, each as the octets of its file (Latin-1). */
  mail(user: string): Promise<readonly string[]>;
  /** Waits until a user has `count` messages; fails after `timeout` ms (default 15,000). */
  mailArrives(user: string, count: number, timeout?: number): Promise<readonly string[]>;
  /** Ends the process by `signal`; resolves with its exit code when it is gone. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
  /** Starts it again on the same folder and ports. */
  start(launch?: Launch): Promise<void>;
  /** Stops it and removes its folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes folder, configuration, certificate and users, and starts it. */
export async function startNode(options: NodeOptions = {}): Promise<Node> {
  const folder = await mkdtemp(join(tmpdir(), "postern-node-"));
  const [mx, submission, submissions] = await freePorts(3);
  if (mx === undefined || submission === undefined || submissions === undefined) throw new Error("no free ports");
  const ports = { mx: options.mxPort ?? mx, submission, submissions };
  const hostname = options.hostname ?? "node.test";
  const config = join(folder, "postern.toml");
  const pair = await makeCertificate({ names: [hostname, "localhost"], ip: ["127.0.0.1"] });
  await writeFile(join(folder, "cert.pem"), pair.certificate);
  await writeFile(join(folder, "key.pem"), pair.privateKey, { mode: 0o600 });
  for (const [name, content] of Object.entries(options.files ?? {})) await writeFile(join(folder, name), content);
  await writeFile(config, configuration(hostname, ports, options));
  const node = new ChildNode({ folder, config, ports }, options.onLog);
  try {
    for (const [name, password] of Object.entries(options.users ?? {})) {
      const added = await node.command("user", "add", name, "--password-stdin", { stdin: password });
      if (added.code !== 0) throw new Error(`user add: ${added.stderr}`);
    }
    await node.start();
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
  return node;
}

function configuration(hostname: string, ports: Node["ports"], options: NodeOptions): string {
  const listener = (port: number, service: string, tls: string): string =>
    `[[listener]]\naddress = "127.0.0.1:${port}"\nservice = "${service}"\ntls = "${tls}"\n`;
  const domains = (options.domains ?? []).map(
    (name) => `[[domain]]\nname = "${name}"\ndeliver = "maildir:data/mail/{user}"\n`,
  );
  return [
    `hostname = "${hostname}"\ndata_dir = "data"\nworkers = ${options.workers ?? 1}\n`,
    listener(ports.mx, "mx", "starttls"),
    listener(ports.submission, "submission", "starttls"),
    listener(ports.submissions, "submission", "implicit"),
    `[tls]\ncertificate = "cert.pem"\nprivate_key = "key.pem"\n`,
    ...domains,
    `[log]\nlevel = "${options.logLevel ?? "debug"}"\nformat = "json"\n`,
    options.config ?? "",
  ].join("\n");
}

class ChildNode implements Node {
  readonly folder: string;
  readonly config: string;
  readonly ports: Node["ports"];
  readonly log: Readonly<Record<string, unknown>>[] = [];
  #child: ChildProcess | null = null;
  #noise = "";
  #written = "";

  readonly #onLog: NodeOptions["onLog"];

  constructor({ folder, config, ports }: Pick<Node, "folder" | "config" | "ports">, onLog: NodeOptions["onLog"]) {
    this.folder = folder;
    this.config = config;
    this.ports = ports;
    this.#onLog = onLog;
  }

  get output(): string {
    return this.#written;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start({ env = {}, under = [], over = () => false }: Launch = {}): Promise<void> {
    const serving = [process.execPath, ...NODE_OPTIONS, MAIN, "serve", "--config", this.config];
    const [program = process.execPath, ...args] = [...under, ...serving];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.#child = child;
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (this.#onLog === undefined) this.#written += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#keep(line);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#noise += text;
      this.#written += text;
    });
    for (let attempt = 0; attempt < READY_ATTEMPTS; attempt++) {
      const end = child.exitCode ?? child.signalCode;
      if (end !== null) throw new Error(`postern ended with ${end}: ${this.#noise}`);
      if (over() || (await greets(this.ports.mx))) return;
      await sleep(50);
    }
    throw new Error(`postern did not greet: ${this.#noise}`);
  }

  async command(...args: readonly (string | { readonly stdin: string })[]): Promise<CommandResult> {
    const words = args.filter((arg) => typeof arg === "string");
    const input = args.find((arg) => typeof arg !== "string")?.stdin ?? "";
    return await postern([...words, "--config", this.config], input);
  }

  async mail(user: string): Promise<readonly string[]> {
    const folder = join(this.folder, "data", "mail", user, "new");
    const names = await readdir(folder).catch(() => []);
    return await Promise.all(names.sort().map((name) => readFile(join(folder, name), "latin1")));
  }

  async mailArrives(user: string, count: number, timeout = 15_000): Promise<readonly string[]> {
    const until = Date.now() + timeout;
    for (;;) {
      const mail = await this.mail(user);
      if (mail.length >= count) return mail;
      if (Date.now() > until) throw new Error(`${mail.length} of ${count} messages for ${user}; ${this.#tail()}`);
      await sleep(25);
    }
  }

  async kill(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = once(child, "exit", { signal: AbortSignal.timeout(STOP_TIMEOUT) });
    child.kill(signal);
    await ended.catch(() => {
      child.kill("SIGKILL");
      throw new Error(`postern did not end on ${signal}; ${this.#tail()}`);
    });
    this.#child = null;
    return child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGTERM");
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #keep(line: string): void {
    try {
      const event: Readonly<Record<string, unknown>> = JSON.parse(line);
      if (this.#onLog === undefined) this.log.push(event);
      else this.#onLog(event);
    } catch {
      this.#noise += `${line}\n`;
    }
  }

  #tail(): string {
    return `${this.#noise}\n${this.log
      .slice(-20)
      .map((event) => JSON.stringify(event))
      .join("\n")}`;
  }
}

/** Runs the command line to its end, with `input` on its standard input. */
export function postern(args: readonly string[], input: string | Uint8Array = ""): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [...NODE_OPTIONS, MAIN, ...args],
      { timeout: 30_000 },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== "number") reject(error);
        else resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      },
    );
    child.stdin?.on("error", () => {}).end(input);
  });
}

/**
 * Where the system takes no ports by itself (`ip_local_port_range` begins at 32768): between the look and the use, connections of other
 * tests, ten thousand at once in one of them, would take what was found free.
 */
const FIRST_PORT = 10_000;
const PORTS = 22_000;
/** Each process has ports of its own, by its id, so that those that run at the same time do not find the same ones free. */
const PORTS_EACH = 50;
let nextPort = 0;

/** Ports of 127.0.0.1 that are free now, and that no other process of the tests is given. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const first = FIRST_PORT + ((process.pid * PORTS_EACH) % PORTS);
  const found: number[] = [];
  for (let looks = 0; found.length < count; looks++) {
    if (looks === PORTS_EACH) throw new Error(`of the ports from ${first} fewer than ${count} are free`);
    const port = first + (nextPort++ % PORTS_EACH);
    if (await isFree(port)) found.push(port);
  }
  return found;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  await new Promise((resolve) => server.close(resolve));
  return true;
}

const LOG_TIMEOUT = 15_000;

/**
 * The newest event that a node logged with these fields, waited for: a log line comes by a pipe of its own, maybe after the reply, the
 * mail or the restart that it tells of. With `count`, once there are that many.
 */
export async function logged(
  { log }: Pick<Node, "log">,
  event: string,
  { count = 1, ...fields }: Readonly<Record<string, unknown>> & { readonly count?: number } = {},
): Promise<Readonly<Record<string, unknown>>> {
  const wanted = Object.entries({ event, ...fields });
  for (const until = Date.now() + LOG_TIMEOUT; ; await sleep(25)) {
    const found = log.filter((entry) => wanted.every(([name, value]) => entry[name] === value));
    const newest = found.at(-1);
    if (newest !== undefined && found.length >= count) return newest;
    if (Date.now() > until)
      throw new Error(`${found.length} of ${count} ${JSON.stringify(Object.fromEntries(wanted))}`);
  }
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.setTimeout(2000, () => socket.destroy());
    socket.once("data", () => {
      resolve(true);
      socket.end("QUIT\r\n");
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
}
