// What the measures share: the sink, the load generator, rounds that alternate between subjects, and rows of Markdown.
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePorts } from "../test/node.ts";
import type { LoadResult, LoadTask } from "./load.ts";
import type { SinkReport, SinkTask } from "./sink.ts";
import { cpuSeconds, type Subject, type SubjectOptions } from "./subject.ts";
import { child } from "./subjects/child.ts";
import { haraka } from "./subjects/haraka.ts";
import { postern } from "./subjects/postern.ts";
import { postfix } from "./subjects/postfix.ts";

export type SubjectName = "postern" | "postfix" | "haraka" | "smtp-server" | "ceiling";

/** What the command line asks of a measure. */
export interface BenchOptions {
  readonly rounds: number;
  /** Null: the measure's own number. */
  readonly messages: number | null;
  readonly connections: number;
  /** Octets of a message. */
  readonly size: number;
  /** Which servers can be measured here. */
  readonly available: ReadonlySet<SubjectName>;
  readonly certificate: string;
  readonly privateKey: string;
}

/** Says what it measures, takes it, and prints rows of a table. */
export interface Measure {
  readonly name: string;
  readonly what: string;
  run(options: BenchOptions): Promise<void>;
}

const SUBJECTS: Readonly<Record<SubjectName, (options: SubjectOptions) => Promise<Subject>>> = {
  postern,
  postfix,
  haraka,
  "smtp-server": (options) => child("smtp-server", "./smtp-server-server.ts", options),
  ceiling: (options) => child("ceiling", "./ceiling-server.ts", options),
};
const [sinkPort = 0, tarpitPort = 0, ...subjectPorts] = await freePorts(10);
export const SINK_PORT = sinkPort;
export const TARPIT_PORT = tarpitPort;

/** Starts those of `names` that are available, each on a port of its own. */
export async function startSubjects(
  names: readonly SubjectName[],
  options: BenchOptions,
  more: Partial<SubjectOptions> = {},
): Promise<Subject[]> {
  const subjects: Subject[] = [];
  const { certificate, privateKey } = options;
  try {
    for (const name of names.filter((each) => options.available.has(each))) {
      const port = subjectPorts.shift();
      if (port === undefined) throw new Error("no port is left");
      subjectPorts.push(port);
      const started = { port, sinkPort: SINK_PORT, relayTls: false, certificate, privateKey, ...more };
      const subject = await SUBJECTS[name](started);
      subjects.push(subject);
      running.add(subject);
    }
  } catch (error) {
    await stopAll(subjects);
    throw error;
  }
  return subjects;
}

export async function stopAll(subjects: readonly Subject[]): Promise<void> {
  for (const subject of subjects) {
    if (running.delete(subject)) await subject.stop();
  }
}

/** Servers that are not stopped yet. */
const running = new Set<Subject>();

/** Whoever is told to end, by Ctrl-C or a time-out, takes the servers along: Postfix would stay for ever. */
export function stopOnSignal(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void stopAll([...running]).finally(() => process.exit(1)));
  }
}

/** Runs the load generator in a process of its own; throws when a message failed. */
export async function load(subject: Subject, task: Omit<LoadTask, "port">): Promise<LoadResult> {
  const file = fileURLToPath(new URL("./load.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [file, JSON.stringify({ ...task, port: subject.port })],
    { timeout: LOAD_TIMEOUT },
  );
  const result: LoadResult = JSON.parse(stdout);
  if (result.failed > 0) throw new Error(`${subject.name}: ${result.failed} messages failed: ${result.firstFailure}`);
  return result;
}

/** A server that answers nothing any more ends the measure. */
const LOAD_TIMEOUT = 600_000;
const QUIET_INTERVAL = 400;
const QUIET_TIMEOUT = 60_000;

/** Waits until a subject has done all that a round left it to do, so that it is not done during another's round. */
export async function quiet(subject: Subject): Promise<void> {
  const until = Date.now() + QUIET_TIMEOUT;
  let before = -1;
  let now = cpuSeconds(subject.pid);
  while (now > before && Date.now() < until) {
    before = now;
    await sleep(QUIET_INTERVAL);
    now = cpuSeconds(subject.pid);
  }
}

/** The next hop, in a process of its own. */
export class Sink {
  readonly #process: ChildProcess;
  #expected = 0;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async start(task: Omit<SinkTask, "port">): Promise<Sink> {
    const file = fileURLToPath(new URL("./sink.ts", import.meta.url));
    const process = fork(file, [JSON.stringify({ ...task, port: SINK_PORT })]);
    await once(process, "message");
    return new Sink(process);
  }

  /** The number of the next message that is to come. */
  get nextNumber(): number {
    return this.#expected + 1;
  }

  /** Waits until `count` more messages came; throws when one was altered. */
  async arrived(count: number): Promise<SinkReport> {
    this.#expected += count;
    const answer = once(this.#process, "message", { signal: AbortSignal.timeout(300_000) });
    this.#process.send({ expect: this.#expected });
    const [report]: SinkReport[] = await answer;
    if (report === undefined) throw new Error("the sink said nothing");
    if (report.corrupt > 0) throw new Error(`${report.corrupt} messages were altered`);
    return report;
  }

  stop(): void {
    this.#process.disconnect();
  }
}

export function median(of: readonly number[]): number {
  return of.toSorted((a, b) => a - b)[Math.floor(of.length / 2)] ?? 0;
}

/** A row of a table in Markdown. */
export function row(...cells: readonly (string | number)[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

/** The head of a table in Markdown. */
export function head(...cells: readonly string[]): void {
  row(...cells);
  row(...cells.map(() => "---"));
}
