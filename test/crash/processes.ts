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
    return stateIn(`/proc/${pid}`) === "Z" && readdirSync(`/proc/${pid}/task`).length <= 1;
  } catch {
    return true;
  }
}

/** True once each of its threads is stopped (SIGSTOP), or it is gone. */
export function isStill(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => "TZ".includes(stateIn(`/proc/${pid}/task/${thread}`)));
  } catch {
    return true;
  }
}

/** The letter of proc(5): R runs, S sleeps, T is stopped, Z is dead. */
function stateIn(folder: string): string {
  const stat = readFileSync(`${folder}/stat`, "latin1");
  return stat.charAt(stat.lastIndexOf(")") + 2);
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
