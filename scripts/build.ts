// Makes dist/: JavaScript and declarations of everything but the tests.
import { spawnSync } from "node:child_process";
import { chmodSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const tsc = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));

rmSync(new URL("../dist", import.meta.url), { recursive: true, force: true });
const done = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
if (done.status !== 0) process.exit(done.status ?? 1);

// The compiler rewrites `./x.ts` to `./x.js` in JavaScript only; in declarations it is left to us.
for (const file of globSync("dist/**/*.d.ts", { cwd: root })) {
  const text = readFileSync(`${root}/${file}`, "utf8");
  writeFileSync(`${root}/${file}`, text.replace(/((?:from|import)\s*\(?\s*")(\.{1,2}\/[^"]+)\.ts"/g, '$1$2.js"'));
}
chmodSync(`${root}/dist/cli/main.js`, 0o755);
