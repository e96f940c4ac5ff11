import { type ChildProcess, spawn } from "node:child_process";

/** How one test file ended. */
export type Trial =
  | { readonly kind: "passed"; readonly tests: number }
  /** `title`: of the first test that failed. */
  | { readonly kind: "failed"; readonly title: string }
  /** It was ended because it took too long. */
  | { readonly kind: "hung" }
  /** It ended badly without any test having failed: it could not be loaded, or broke down. `why` is for people. */
  | { readonly kind: "broken"; readonly why: string };

export interface TrialOptions {
  /** The copy of the project. */
  readonly tree: string;
  /** Path of the test file in it. */
  readonly file: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** More output than any test file makes. */
const MOST_OUTPUT = 4 * 1024 * 1024;

/** Runs one test file in a process of its own, and takes down with it whatever that has started. */
export async function tryTests({ tree, file, timeout }: TrialOptions): Promise<Trial> {
  // The parent may be a test itself: without its mark the child would report to it in its own way.
  const { NODE_TEST_CONTEXT: _ours, ...env } = process.env;
  const child = spawn(process.execPath, ["--test-reporter=tap", file], {
    cwd: tree,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const collect = (text: string): void => {
    if (output.length < MOST_OUTPUT) output += text;
    // One failure is enough; the rest would only cost time.
    if (firstFailure(output) !== null) endGroup(child);
  };
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    endGroup(child);
  }, timeout);
  const code = await new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    child.once("exit", (status) => {
      endGroup(child);
      resolve(status);
    });
  });
  clearTimeout(timer);
  const failed = firstFailure(output);
  if (failed !== null) return { kind: "failed", title: failed };
  if (hung) return { kind: "hung" };
  if (code === 0) return { kind: "passed", tests: Number(/^# pass (\d+)$/m.exec(output)?.[1] ?? 0) };
  return { kind: "broken", why: output.slice(-2000) };
}

/** The child leads a process group of its own, so that no daemon of a broken test is left behind. */
function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}

/** The title of the first test that failed, in whole lines; a suite fails with its tests, which come before it. */
export function firstFailure(tap: string): string | null {
  for (const line of tap.split("\n").slice(0, -1)) {
    const [, title, directive] = /^ *not ok \d+ - (.*?)( # (?:skip|todo).*)?$/i.exec(line) ?? [];
    if (title !== undefined && directive === undefined) return title;
  }
  return null;
}
