// Kills a daemon under load by SIGKILL, at named points and at random moments, starts it again, and counts: what was answered 250 must
// arrive, and once, unless a kill stood between the next hop's reply and our commit.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mathRandom, type Random } from "../../src/base/index.ts";
import { type Node, startNode } from "../node.ts";
import { startHop } from "./hop.ts";
import { type Findings, Ledger } from "./ledger.ts";
import { DOMAINS } from "./messages.ts";
import { POINTS, type Point } from "./points.ts";
import { killAll } from "./processes.ts";
import { collectMail } from "./remains.ts";
import { playRound, type RoundReport, type Scene } from "./round.ts";

export interface CrashOptions {
  /** Where each round ends; null is a random moment. See `course`. */
  readonly rounds: readonly (Point | null)[];
  /** Processes that serve; 1 by default. With more, one of them often dies some time before all of them. */
  readonly workers?: number;
  /** Sending at once. */
  readonly senders?: number;
  readonly random?: Random;
  /** Told after each round. */
  readonly progress?: (line: string) => void;
}

export interface CrashReport extends Findings {
  readonly kills: number;
  /** Rounds that ended at each point, and those that were to and did not come to it. */
  readonly points: ReadonlyMap<string, { reached: number; missed: number }>;
}

const SENDERS = 8;
const DRAIN_TIMEOUT = 120_000;

/** Points in turn, and a random moment after every four of them. */
export function course(
  rounds: number,
  options: { readonly workers: number; readonly only?: string },
): (Point | null)[] {
  const possible = pointsFor(options.workers).filter(({ name }) => options.only === undefined || name === options.only);
  const turn =
    options.only === undefined ? possible.flatMap((point, at) => (at % 4 === 3 ? [point, null] : [point])) : possible;
  return Array.from({ length: rounds }, (_, at) => turn[at % turn.length] ?? null);
}

/**
 * Workers are started by a supervisor that cannot be stopped in time where the kernel kills one, and gives up where one dies on
 * its first way up.
 */
export function pointsFor(workers: number): readonly Point[] {
  const here = POINTS.filter(({ by }) => by !== "kernel" || mayTrace());
  return workers === 1 ? here : here.filter(({ by, name }) => by !== "kernel" && name !== "opening.uncommitted");
}

/** Whether strace is installed and allowed to trace. */
export function mayTrace(): boolean {
  try {
    execFileSync("strace", ["-f", "-o", "/dev/null", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Mail ends in Maildirs, and at a next hop that this process is. */
export async function crash(options: CrashOptions): Promise<CrashReport> {
  const { workers = 1, senders = SENDERS, random = mathRandom } = options;
  const ledger = new Ledger();
  const points = new Map<string, { reached: number; missed: number }>();
  const hop = await startHop({ ledger, kills: () => scene?.kills ?? 0, onTaken: () => scene?.onTaken?.() });
  let scene: Scene | null = null;
  try {
    await using node = await startCrashNode(hop.port, workers);
    // A round that failed may leave a supervisor that stands still: stopping it in vain would hide what failed.
    await using wreck = new AsyncDisposableStack();
    wreck.defer(() => killAll(node.pid));
    await node.kill("SIGTERM");
    scene = { node, ledger, workers, senders, random, kills: 0, onAnswered: null, onTaken: null };
    for (const [at, point] of options.rounds.entries()) {
      const report = await playRound(scene, point);
      count(points, report);
      options.progress?.(
        `round ${at + 1}: ${report.point}${report.reached ? "" : " (not reached)"}; ${ledger.acknowledgedSoFar} acknowledged so far`,
      );
    }
    await node.start();
    await drain(node);
    collectMail(join(node.folder, "data", "mail"), scene.kills, ledger);
    wreck.move();
    return { ...ledger.close(), kills: scene.kills, points };
  } finally {
    await hop.stop();
  }
}

/** A daemon whose mail for elsewhere goes to `port`. */
export function startCrashNode(port: number, workers: number): Promise<Node> {
  return startNode({
    domains: [DOMAINS.maildir],
    workers,
    logLevel: "warn",
    onLog: () => {},
    config: [
      '[relay]\nnetworks = ["127.0.0.0/8"]',
      `[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${port}"\ntls = "off"`,
      '[queue]\nretry_first = "1s"\nretry_longest = "1s"\n',
    ].join("\n"),
  });
}

function count(points: Map<string, { reached: number; missed: number }>, { point, reached }: RoundReport): void {
  const counts = points.get(point) ?? { reached: 0, missed: 0 };
  if (reached) counts.reached++;
  else counts.missed++;
  points.set(point, counts);
}

/** Waits until the queue is empty. */
export async function drain(node: Node): Promise<void> {
  const until = Date.now() + DRAIN_TIMEOUT;
  for (;;) {
    const listed = await node.command("queue", "list", "--json");
    const left: unknown = listed.code === 0 ? JSON.parse(listed.stdout) : listed.stderr;
    if (Array.isArray(left) && left.length === 0) return;
    if (Date.now() > until)
      throw new Error(`the queue does not drain: ${listed.stderr}${listed.stdout.slice(0, 2000)}`);
    await sleep(250);
  }
}
