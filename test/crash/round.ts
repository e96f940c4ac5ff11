// One round: the daemon starts, works under load, and is killed, at a point or at a moment.
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Random } from "../../src/base/index.ts";
import type { Launch, Node } from "../node.ts";
import type { Ledger } from "./ledger.ts";
import { runLoad } from "./load.ts";
import { PLAN, type Plan, type Point } from "./points.ts";
import { childrenOf, isGone, isStill, kill, killAll, until } from "./processes.ts";
import { collectMail, waitingIn } from "./remains.ts";

/** A round at a random moment lives between these, milliseconds; the queue is busy from the first on. */
const SHORTEST = 80;
const LONGEST = 700;
/** How long a point may take to be passed as often as planned. Then the kill comes at that moment. */
const POINT_TIMEOUT = 8000;
/** All threads of a process that was told so stand still by then, those that wait for the disk among them. */
const STANDSTILL_TIMEOUT = 2000;
/** Connections of a dead process have ended by then at the next hop. */
const SETTLING = 30;
/** Which passage of a point is the last, at most: early ones meet a quiet queue, later ones a busy one. */
const MOST_PASSAGES = 40;
/** The same for points that a round passes seldom, or very often. */
const PASSAGES: ReadonlyMap<string, number> = new Map([
  ["opening.uncommitted", 1],
  ["body.appended", 3],
  ["maildir.made", 3],
  ["report.uncommitted", 8],
  ["report.committed", 8],
  ["log.write", 400],
  ["file.write", 20],
  ["file.sync", 1],
]);
const PRELOAD = fileURLToPath(new URL("./preload.ts", import.meta.url));

/** What all rounds share. */
export interface Scene {
  readonly node: Node;
  readonly ledger: Ledger;
  readonly workers: number;
  readonly senders: number;
  readonly random: Random;
  /** How many kills there were so far: the life that is going on. */
  kills: number;
  /** What the peers call when they see something; null where nobody waits for it. */
  onAnswered: (() => void) | null;
  onTaken: (() => void) | null;
}

export interface RoundReport {
  /** Where it was killed: a point, or "random". */
  readonly point: string;
  /** False: the point was not passed often enough, and the kill came some time. */
  readonly reached: boolean;
}

/** A round at `point`, or at a random moment for null. */
export async function playRound(scene: Scene, point: Point | null): Promise<RoundReport> {
  const { node, random, ledger, senders, workers } = scene;
  const passage = 1 + Math.floor(random.next() * ((point && PASSAGES.get(point.name)) ?? MOST_PASSAGES));
  const mark = markIn(node.folder);
  rmSync(mark, { force: true });
  const met = point?.by === "outside" ? meet(scene, point, passage) : null;
  // A point may be passed by what is resumed on the way up: then its process is dead, and its supervisor stands still, before it greets.
  const happened = (): boolean => met?.() === true || existsSync(mark);
  const launched = await launch(node, {
    ...(point === null ? {} : launchFor(point, { folder: node.folder, passage, workers })),
    over: happened,
  });
  const { pid } = node;
  const sending = launched
    ? runLoad({ port: node.ports.mx, senders, ledger, onAnswered: () => scene.onAnswered?.() })
    : Promise.resolve();
  const reached = await (point === null
    ? sleep(moment(random)).then(() => true)
    : until(() => happened() || isGone(pid), POINT_TIMEOUT));
  const name = point === null ? "random" : reached ? point.name : `${point.name}, not reached`;
  if (scene.workers > 1) await loseWorker(scene, name, mark);
  await killAll(pid);
  await node.kill("SIGKILL");
  await sending;
  await takeStock(scene, name, true);
  return { point: point?.name ?? "random", reached };
}

/** Where the preload says that the kill is its own. */
function markIn(folder: string): string {
  return join(folder, "mark");
}

function moment(random: Random): number {
  return SHORTEST + random.next() * (LONGEST - SHORTEST);
}

/** False where it was killed on its way up. */
async function launch(node: Node, how: Launch): Promise<boolean> {
  try {
    await node.start(how);
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes("SIGKILL")) return false;
    throw error;
  }
}

function launchFor(
  { name, by }: Point,
  { folder, passage, workers }: { readonly folder: string; readonly passage: number; readonly workers: number },
): Launch {
  if (by === "outside") return {};
  if (by === "kernel") return { under: killAtCall(name, { passage, data: join(folder, "data") }) };
  const plan: Plan = { point: name, passage, mark: markIn(folder), stopParent: workers > 1 };
  const { NODE_OPTIONS = "" } = process.env;
  return { env: { [PLAN]: JSON.stringify(plan), NODE_OPTIONS: `${NODE_OPTIONS} --import ${PRELOAD}` } };
}

/** `-D`: the daemon stays our child. Without `--seccomp-bpf`, under which strace 6.1 does not inject. */
function killAtCall(
  point: string,
  { passage, data }: { readonly passage: number; readonly data: string },
): readonly string[] {
  const calls = point.endsWith(".write") ? "pwrite64" : "fsync,fdatasync";
  const file = join(data, point.startsWith("log.") ? "queue.sqlite-wal" : "queue.sqlite");
  const inject = `inject=${calls}:signal=KILL:when=${passage}`;
  return ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-P", file, "-e", `trace=${calls}`, "-e", inject];
}

/** Has the peers count; the result tells whether the planned passage came, and kills the daemon at that moment. */
function meet(scene: Scene, { name }: Point, passage: number): () => boolean {
  let left = passage;
  const count = (): void => {
    if (--left > 0) return;
    scene.onAnswered = null;
    scene.onTaken = null;
    const { pid } = scene.node;
    const victims = scene.workers > 1 ? childrenOf(pid) : [pid];
    // The supervisor of workers stands still until their queues were looked at.
    if (scene.workers > 1) kill(pid, "SIGSTOP");
    for (const each of victims) kill(each, "SIGKILL");
  };
  if (name === "client.answered") scene.onAnswered = count;
  else scene.onTaken = count;
  return () => left <= 0;
}

/**
 * With workers: what those that died, or one chosen by chance, left is looked at while supervisor and workers stand still; then they
 * go on for a while, with the dead started again, before all are killed.
 */
async function loseWorker(scene: Scene, name: string, mark: string): Promise<void> {
  const { node, random, workers } = scene;
  const alive = childrenOf(node.pid);
  if (alive.length < workers && !existsSync(mark) && !alive.some(isGone)) return;
  kill(node.pid, "SIGSTOP");
  const dead = (): readonly number[] => childrenOf(node.pid).filter(isGone);
  const chosen = alive[Math.floor(random.next() * alive.length)];
  if (dead().length === 0 && chosen !== undefined && random.next() < 0.5) kill(chosen, "SIGKILL");
  await until(() => dead().length > 0, 200);
  // One that is just starting may be about to open a queue that is looked at, or the lock that tells whose it is.
  const living = childrenOf(node.pid).filter((each) => !isGone(each));
  for (const each of living) kill(each, "SIGSTOP");
  await until(() => living.every(isStill), STANDSTILL_TIMEOUT);
  if (dead().length > 0) await takeStock(scene, `${name}, one worker`, false);
  for (const each of [...living, node.pid]) kill(each, "SIGCONT");
  await sleep(moment(random));
}

/** Looks at what the dead left, enters it into the books, and begins the next life. */
async function takeStock(scene: Scene, point: string, whole: boolean): Promise<void> {
  const { node, ledger } = scene;
  await sleep(SETTLING);
  const data = join(node.folder, "data");
  collectMail(join(data, "mail"), scene.kills, ledger);
  const waiting = waitingIn(data);
  scene.kills++;
  ledger.killed({ kill: scene.kills, point, waiting, whole });
}
