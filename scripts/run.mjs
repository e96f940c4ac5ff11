// What each npm script does, run with the pinned Node after set-up. Plain JavaScript: see setup.mjs.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

const [task = "", ...rest] = process.argv.slice(2);
const node = setUp();
const bin = (path) => join(root, "node_modules", path);

const checks = [
  ["types", [bin("typescript/bin/tsc"), "--noEmit"]],
  ["format and lint", [bin("@biomejs/biome/bin/biome"), "ci", "--error-on-warnings", "."]],
];

/** As the first line of main.ts has it for what is published. */
const RUNTIME = ["--max-semi-space-size=16"];

const tests = ["--test", "--test-timeout=240000", "--test-concurrency=2"];

const tasks = {
  start: () => hand([...RUNTIME, "src/cli/main.ts", "start", ...rest]),
  check,
  test: () => {
    if (rest.length === 0) check();
    const files = rest.length > 0 ? rest : ["src/**/*.test.ts", "test/**/*.test.ts"];
    hand([...tests, ...files]);
  },
  build: () => hand(["scripts/build.ts", ...rest]),
  bench: () => hand(["bench/main.ts", ...rest]),
  crash: () => hand(["test/crash/main.ts", ...rest]),
  fuzz: () => hand(["test/fuzz/main.ts", ...rest]),
  mutants: () => hand(["test/mutants/main.ts", ...rest]),
  simulate: () => hand(["test/simulation/main.ts", ...rest]),
  soak: () => hand(["test/soak/main.ts", ...rest]),
};

function check() {
  for (const [what, args] of checks) {
    const done = spawnSync(node, args, { cwd: root, stdio: "inherit" });
    if (done.status !== 0) {
      process.stderr.write(`postern: the check of ${what} failed\n`);
      process.exit(done.status ?? 1);
    }
  }
}

/** Runs to the end in a child and passes signals on, so that Ctrl-C and SIGTERM stop it gracefully. */
function hand(args) {
  const child = spawn(node, args, { cwd: root, stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}

if (!Object.hasOwn(tasks, task)) {
  process.stderr.write(`postern: unknown task '${task}'; known: ${Object.keys(tasks).join(", ")}\n`);
  process.exit(2);
}
tasks[task]();
