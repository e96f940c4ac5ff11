// What is published, as a stranger gets it: packed, put into an empty project, imported by each subpath, typed, and run.
import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { program } from "./interop/peers.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (path: string): string => join(root, "node_modules", path);

const CONSUMER = `
import { startDaemon, type Daemon } from "postern";
import { parseMailbox, type Mailbox } from "postern/smtp";
import { createServer, definePolicy, type Policy } from "postern/server";
import { createClient, openSession } from "postern/client";
import { createMemoryStore, type QueueStore } from "postern/queue";
import { memoryStreamPair } from "postern/testing";

const parsed = parseMailbox("ada@example.org");
const mailbox: Mailbox | null = parsed.ok ? parsed.value : null;
const policy: Policy = definePolicy({ body: () => ({ kind: "refuse", reply: { code: 554, status: null, lines: ["no"] } }) });
const server = createServer({ hostname: "mx.example.org", listeners: [], policy });
const uses: readonly unknown[] = [startDaemon, createClient, openSession, createMemoryStore, memoryStreamPair, server];
const types: { daemon?: Daemon; store?: QueueStore } = {};
console.log(mailbox?.domain, uses.every((use) => use !== undefined), Object.keys(types).length);
`;

/** What a project that is typed for Node has beside us. */
const TYPES = /^(?:@types\/|undici-types$)/;

/** Strict, and with our declarations checked too. */
const STRANGERS_TSCONFIG = {
  compilerOptions: {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    target: "es2024",
    lib: ["es2024", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
    skipLibCheck: false,
    preserveSymlinks: true,
  },
  include: ["consumer.ts"],
};

describe("the package", { timeout: 200_000 }, () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "postern-package-"));
    const built = await program(process.execPath, [join(root, "scripts/build.ts")]);
    assert.equal(built.code, 0, built.stdout + built.stderr);
    const packed = await program("npm", ["pack", root, "--pack-destination", folder, "--ignore-scripts", "--json"]);
    assert.equal(packed.code, 0, packed.stderr);
    const packages = join(folder, "node_modules");
    await mkdir(join(packages, "postern"), { recursive: true });
    const version: string = JSON.parse(await readFile(join(root, "package.json"), "utf8")).version;
    const tarball = join(folder, `postern-${version}.tgz`);
    const unpacked = await program("tar", ["-xzf", tarball, "-C", join(packages, "postern"), "--strip-components=1"]);
    assert.equal(unpacked.code, 0, unpacked.stderr);
    // No registry is asked: what the package depends on is linked from our own locked installation.
    const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
    for (const [path, entry] of Object.entries<{ dev?: boolean }>(lock.packages)) {
      const name = path.slice("node_modules/".length);
      if (path === "" || name.includes("node_modules") || (entry.dev === true && !TYPES.test(name))) continue;
      await mkdir(join(packages, name, ".."), { recursive: true });
      await symlink(join(root, path), join(packages, name)).catch(() => {});
    }
    await writeFile(join(folder, "package.json"), `{ "type": "module", "private": true }`);
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(STRANGERS_TSCONFIG));
    await writeFile(join(folder, "consumer.ts"), CONSUMER);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test("gives typed imports of each subpath", async () => {
    const checked = await program(process.execPath, [bin("typescript/bin/tsc"), "-p", folder]);
    assert.equal(checked.code, 0, checked.stdout);
  });

  test("runs its imports", async () => {
    const ran = await program(process.execPath, [join(folder, "consumer.ts")]);
    assert.equal(ran.stderr, "");
    assert.equal(ran.stdout, "example.org true 0\n");
  });

  test("brings the command line, which starts Node with the options that a checkout gives it", async () => {
    const path = join(folder, "node_modules/postern/dist/cli/main.js");
    const [first = ""] = (await readFile(path, "utf8")).split("\n");
    const [, options] = /^#!\/usr\/bin\/env -S node (.+)$/.exec(first) ?? [];
    assert.ok(options !== undefined);
    assert.ok((await readFile(join(root, "postern"), "utf8")).includes(`exec "$node" ${options} "$root`));
    assert.ok((await readFile(join(root, "scripts/run.mjs"), "utf8")).includes(`const RUNTIME = ["${options}"];`));
    await chmod(path, 0o755);
    const search = `PATH=${dirname(process.execPath)}:${process.env.PATH}`;
    const ran = await program("/usr/bin/env", [search, path, "--version"]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^\d+\.\d+\.\d+\n$/);
  });

  test("is clean for publint", async () => {
    const ran = await program(process.execPath, [
      bin("publint/src/cli.js"),
      ...["--strict", join(folder, "node_modules/postern")],
    ]);
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    assert.doesNotMatch(ran.stdout, /Warning|Error|Suggestion/i);
  });

  test("is clean for attw", async () => {
    const version: string = JSON.parse(await readFile(join(root, "package.json"), "utf8")).version;
    const ran = await program(process.execPath, [
      bin("@arethetypeswrong/cli/dist/index.js"),
      ...[join(folder, `postern-${version}.tgz`), "--profile", "esm-only", "--no-color"],
    ]);
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  });
});
