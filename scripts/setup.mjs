// Brings a checkout to where it can run: the locked packages and the pinned Node. Plain JavaScript, because the
// machine's own Node may be as old as 20. Does nothing, quickly, when all is in place.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
const OLDEST_NODE_MAJOR = 24;

/** Installs what `lock` names into `folder`, unless that was done before for the same lock. */
function install(folder, what) {
  const lock = join(folder, "package-lock.json");
  const stamp = join(folder, "node_modules", ".installed-lock");
  const digest = createHash("sha256").update(readFileSync(lock)).digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  process.stderr.write(`postern: installing ${what} (once) …\n`);
  const done = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
  if (done.status !== 0) {
    process.stderr.write(`postern: 'npm ci' failed in ${folder}; its message is above. Mend that and run again.\n`);
    process.exit(1);
  }
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  writeFileSync(stamp, digest);
}

/** The pinned Node where npm has it for this platform, else the running one if it is new enough. */
function pinnedNode() {
  const packages = join(root, "tools", "node", "node_modules");
  const name = existsSync(packages) ? readdirSync(packages).find((entry) => entry.startsWith("node-")) : undefined;
  if (name !== undefined) return join(packages, name, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE_MAJOR) return process.execPath;
  process.stderr.write(
    `postern: there is no packaged Node ${OLDEST_NODE_MAJOR} for ${process.platform}-${process.arch}; ` +
      `install Node ${OLDEST_NODE_MAJOR} or newer and run again.\n`,
  );
  process.exit(1);
}

/** Returns the path of the Node to run Postern with. */
export function setUp() {
  install(root, "the locked packages");
  install(join(root, "tools", "node"), `Node ${OLDEST_NODE_MAJOR}`);
  return pinnedNode();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(`${setUp()}\n`);
