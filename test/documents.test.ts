// The documents say what is so: links lead somewhere, what the coverage table names is there, and the README's examples work.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { formatConfigProblem, parseConfig } from "../src/config/index.ts";
import { writeSelfSignedCertificate } from "../src/daemon/index.ts";
import { program } from "./interop/peers.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MAIN = join(ROOT, "src/cli/main.ts");
const NOT_OURS = new Set(["node_modules", ".git", "dist", "data", "tools"]);

const readme = read("README.md");
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "postern-documents-"));
});
after(() => rm(folder, { recursive: true, force: true }));

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Paths below `from` whose names end in `ending`. */
function files(from: string, ending: string): string[] {
  return readdirSync(join(ROOT, from), { withFileTypes: true }).flatMap((entry) => {
    const path = join(from, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : files(path, ending);
    return entry.name.endsWith(ending) ? [path] : [];
  });
}

/** The fenced blocks of a language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```([a-z]*)[^\n]*\n([\s\S]*?)^```$/gm)].flatMap(([, name, code = ""]) =>
    name === language ? [code] : [],
  );
}

/** What a reader sees as prose: no code, in which brackets mean something else. */
function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "");
}

/** Anchors of a page's headings, as the usual readers of Markdown make them. */
function anchors(text: string): Set<string> {
  const headings = [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.*)$/gm)];
  return new Set(
    headings.map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

test("every relative link of every page leads somewhere", () => {
  const pages = files(".", ".md");
  assert.ok(pages.length > 5);
  const dead: string[] = [];
  for (const page of pages) {
    for (const [, target = ""] of withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor = ""] = target.split("#");
      const file = path === "" ? page : join(dirname(page), path);
      const found = existsSync(join(ROOT, file));
      if (!found || (anchor !== "" && !anchors(read(file)).has(anchor))) dead.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(dead, []);
});

test("what the coverage table names is there: files, tests and dialogues", () => {
  const rows = read("docs/rfc.md")
    .split("\n")
    .filter((line) => /^\| (?!§|---)/.test(line));
  assert.ok(rows.length > 80);
  const missing: string[] = [];
  for (const row of rows) {
    const cells = row.split(" | ");
    assert.equal(cells.length, 5, row);
    for (const [, path = "", title] of row.matchAll(/`((?:src|test)\/[^`]+)`(?: "([^"]*)")?/g)) {
      if (!existsSync(join(ROOT, path))) missing.push(path);
      else if (title !== undefined && !read(path).includes(title)) missing.push(`${path}: ${title}`);
    }
    if (/ \| done/.test(row) && !/\.(?:test\.ts|md)`/.test(row)) missing.push(`no test: ${row}`);
  }
  assert.deepEqual(missing, []);
});

test("every deviation that the code confesses stands in the coverage table", () => {
  const table = read("docs/rfc.md");
  const untold = files("src", ".ts").filter((path) => {
    return read(path).includes("Deviation:") && !table.includes(path.replace(/\\/g, "/"));
  });
  assert.deepEqual(untold, []);
});

test("the log events that operators match on are listed, each with its meaning, and no others", () => {
  const listed = [...read("docs/events.md").matchAll(/^\| `([a-z.-]+)` \| (.+?) \| .* \|$/gm)];
  assert.deepEqual(
    listed.filter(([, , meaning = ""]) => meaning.trim() === ""),
    [],
  );
  const inCode = files("src", "events.ts").flatMap((path) =>
    [...read(path).matchAll(/^ {2}\w+: "([a-zA-Z.-]+)",$/gm)].map(([, name = ""]) => name),
  );
  const literal = files("src", ".ts").flatMap((path) =>
    [...read(path).matchAll(/\blog\.(?:debug|info|warn|error)\(\s*"([^"]+)"/g)].map(([, name = ""]) => name),
  );
  const names = (all: readonly string[]) => [...new Set(all)].sort();
  assert.deepEqual(names(listed.map(([, name = ""]) => name)), names([...inCode, ...literal]));
});

test("the configuration of the README passes 'postern check'", async () => {
  const [text = ""] = blocks(readme, "toml");
  const file = join(folder, "config", "postern.toml");
  const parsed = parseConfig(text, file);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.error.map(formatConfigProblem).join("\n"));
  await writeSelfSignedCertificate(
    [parsed.value.hostname],
    join(folder, "config/cert.pem"),
    join(folder, "config/key.pem"),
  );
  // Only the ports are not ours to take here.
  await writeFile(file, text.replaceAll(/0\.0\.0\.0:\d+/g, "127.0.0.1:0"));
  const checked = await program(process.execPath, [MAIN, "check", "--config", file]);
  assert.deepEqual([checked.code, checked.stderr], [0, ""]);
});

test("the commands that the pages name are there", async () => {
  const { commands } = await help([]);
  const pages = ["README.md", ...files("docs", ".md")].map(read).join("\n");
  const named = [...pages.matchAll(/(?:`|'|^)(?:\.\/)?postern ([a-z]+)(?: ([a-z]+))?/gm)];
  assert.ok(named.length > 5);
  for (const [whole, command = "", second] of named) {
    assert.ok(commands.includes(command), whole);
    const nested = second === undefined ? [] : (await help([command])).commands;
    if (second !== undefined && nested.length > 0) assert.ok(nested.includes(second), whole);
  }
  for (const [, script = ""] of pages.matchAll(/npm (?:run )?(start|test|[a-z]+)$/gm)) {
    assert.ok(Object.hasOwn(JSON.parse(read("package.json")).scripts, script), script);
  }
});

const helps = new Map<string, { readonly commands: readonly string[] }>();

async function help(path: readonly string[]): Promise<{ readonly commands: readonly string[] }> {
  const known = helps.get(path.join(" "));
  if (known !== undefined) return known;
  const told = await program(process.execPath, [MAIN, ...path, "--help"]);
  assert.equal(told.code, 0, told.stderr);
  const list = told.stdout.split(/^Commands:\n/m)[1]?.split(/\n\n/)[0] ?? "";
  const found = { commands: [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = ""]) => name) };
  helps.set(path.join(" "), found);
  return found;
}

/** Stands behind the README's program: sends it a message, and stops it. */
const TRIAL = `
import { createClient } from "postern/client";
if (!started.ok) throw new Error("not started");
const client = createClient({ host: "127.0.0.1", port: started.value[0]?.port ?? 0, tls: "none" });
const sent = await client.send({ from: "bob@example.net", to: ["ada@example.org"], message: "Subject: x\\n\\nHello\\n" });
console.log(sent.ok && sent.value.accepted ? "accepted" : sent);
await client.close();
await server.stop({ grace: 1000 });
`;

/** The program with a free port, on trial, and the package's names led to the sources. */
function playable(code: string): string {
  const started = code
    .replace(/port: \d+/, "port: 0")
    .replace("await server.start();", "const started = await server.start();");
  return (started + TRIAL).replaceAll(/from "postern\/(\w+)"/g, (_, name: string) => {
    return `from "${join(ROOT, "src", name, "index.ts")}"`;
  });
}

test("the program of the README is typed, starts, takes a message and stops", async () => {
  const [code = ""] = blocks(readme, "ts");
  await mkdir(join(folder, "program"));
  await writeFile(join(folder, "program", "package.json"), '{ "type": "module" }');
  const file = join(folder, "program", "example.ts");
  await writeFile(file, playable(code));
  const types = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: { typeRoots: [join(ROOT, "node_modules/@types")], rewriteRelativeImportExtensions: false },
    include: [file],
  };
  await writeFile(join(folder, "program", "tsconfig.json"), JSON.stringify(types));
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const checked = await program(process.execPath, [tsc, "--project", join(folder, "program")]);
  // The sources have a check of their own; here the example alone is on trial.
  assert.doesNotMatch(checked.stdout, /example\.ts\(|^error/m);
  const ran = await program(process.execPath, [file]);
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stdout, /octets for 1/);
  assert.match(ran.stdout, /^accepted$/m);
});

test("the pages keep to what is ours: no path of the machine they were written on", () => {
  const strange = files(".", ".md").filter((page) => /(?:^|[\s`(])\/(?:work|tmp|home|root)\//m.test(read(page)));
  assert.deepEqual(
    strange.map((page) => relative(ROOT, resolve(ROOT, page))),
    [],
  );
});
