// The processes of a daemon, from outside.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const POLL = 5;
const GONE_TIMEOUT = 10_000;

/** Its workers, where it has some. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
    return children === "" ? [] : children.split(" ").map(Number);
  } catch {
    return [];
  }
}

/** True from where none of its threads can act any more: it is no more, or only waits for its parent to take note. */
export function isGone(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const isZombie = stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
    return isZombie && readdirSync(`/proc/${pid}/task`).length <= 1;
  } catch {
    return true;
  }
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone already.
  }
}

/** Kills the daemon and its workers at once. */
export async function killAll(pid: number): Promise<void> {
  const all = [pid, ...childrenOf(pid)];
  for (const each of all) kill(each, "SIGKILL");
  await until(() => all.every(isGone), GONE_TIMEOUT);
}

/** Waits until `condition`, `timeout` milliseconds at most. The result says whether it came. */
export async function until(condition: () => boolean, timeout: number): Promise<boolean> {
  const end = performance.now() + timeout;
  while (!condition()) {
    if (performance.now() > end) return false;
    await sleep(POLL);
  }
  return true;
}
