import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { test } from "node:test";
import { type Export, exportsOf, type ImportStatement, importsOf, withoutComments } from "./source-scan.ts";

const ROOT = resolve(import.meta.dirname, "..");

interface Source {
  /** Path from the root with `/`. */
  readonly path: string;
  readonly text: string;
  /** The text without comments. */
  readonly code: string;
  readonly imports: readonly ImportStatement[];
  readonly exports: readonly Export[];
}

/**
 * What a folder of `src` may import. `folders` as other folders' names, or `folder/file` for one port of it. `node` is true
 * for all of Node, false for nothing of it, or the modules allowed.
 */
interface Layer {
  readonly folders: readonly string[];
  readonly node: boolean;
}

/** The table of the design; a folder that is not in it does not pass. */
const LAYERS: Readonly<Record<string, Layer>> = {
  base: { folders: [], node: false },
  smtp: { folders: ["base"], node: false },
  message: { folders: ["base", "smtp"], node: false },
  net: { folders: ["base"], node: true },
  server: { folders: ["base", "smtp", "net"], node: true },
  client: { folders: ["base", "smtp", "net"], node: true },
  trust: { folders: ["base", "smtp", "message", "net"], node: true },
  web: { folders: ["base", "net"], node: true },
  workers: { folders: ["base"], node: true },
  metrics: { folders: ["base"], node: false },
  credentials: { folders: ["base", "intake"], node: true },
  oauth: { folders: ["base"], node: true },
  queue: { folders: ["base", "smtp"], node: true },
  intake: { folders: ["base", "smtp", "message", "server", "queue"], node: true },
  delivery: { folders: ["base", "smtp", "message", "net", "client", "trust", "queue"], node: true },
  inspection: { folders: ["base", "smtp", "net", "client", "trust", "queue", "delivery"], node: true },
  config: { folders: ["base", "smtp"], node: true },
  admin: { folders: ["base", "smtp", "queue", "config"], node: true },
  daemon: {
    folders: [
      ...["base", "smtp", "message", "net", "server", "client", "trust", "web", "workers", "metrics"],
      ...["credentials", "oauth"],
      ...["queue", "intake", "delivery", "inspection", "config", "admin"],
    ],
    node: true,
  },
  cli: { folders: ["base", "config", "admin", "client", "daemon"], node: true },
};

/** The shipped test kit may use everything, by any way. */
const OPEN_FOLDERS = new Set(["testing"]);

/** Files of `src` itself that folders may import, and which. */
const TOP_FILES: Readonly<Record<string, readonly string[]>> = { "src/logging.ts": ["daemon", "cli"] };

/** Pure files: no Node, and of the folders only these. Values and decisions without I/O stay that way. */
const PURE_FILES: readonly { readonly file: RegExp; readonly folders: readonly string[] }[] = [
  { file: /^src\/server\/(session|state|replies|verbs)\.ts$/, folders: ["base", "smtp"] },
  { file: /^src\/client\/(session|state|replies)\.ts$/, folders: ["base", "smtp"] },
  {
    file: /^src\/queue\/(retry|schedule|destinations|turns|judgement|model|store|deliverer)\.ts$/,
    folders: ["base", "smtp"],
  },
  { file: /^src\/delivery\/(plan|outcome)\.ts$/, folders: ["base", "smtp", "queue", "net", "client"] },
];

/** What other folders may use of a folder, where that is less than its `index.ts`: only as types. */
const TYPES_ONLY: readonly { readonly from: string; readonly to: string }[] = [{ from: "intake", to: "server" }];

/**
 * Whose files may be loaded one at a time while the program runs: the door of `daemon` opens onto everything, and a command that
 * needs one file of it should not wait for the rest.
 */
const DEFERRED: readonly { readonly from: string; readonly to: string }[] = [{ from: "cli", to: "daemon" }];

/** The doors of the package (package.json `exports`), and the files Node is started with. */
const ENTRIES = /^src\/(index|logging|(smtp|server|client|queue|testing)\/index|cli\/main|.*worker)\.ts$/;

/** Tests may be longer: a table of cases is read in pieces. */
const MAX_LINES = { product: 400, tests: 600 };

/** Where one engine may be reached into its own folder. */
const SUBFOLDER_DOORS = /^src\/[^/]+\/[^/]+\/index\.ts$/;

const sources = [...readTree("src"), ...readTree("test"), ...readTree("bench"), ...readTree("scripts")];
const byPath = new Map(sources.map((source) => [source.path, source]));
const product = sources.filter(({ path }) => path.startsWith("src/") && !isTest(path));

test("there is something to look at", () => {
  assert.ok(product.length > 20, "no sources were found: was the test moved?");
  assert.ok(product.some(({ imports }) => imports.length > 0));
});

test("each folder imports only what its layer may", () => {
  expectNone(
    product.flatMap(layerFaults),
    "move the code to the layer it belongs to, or inject what it needs as a port",
  );
});

test("pure files import neither Node nor the network", () => {
  expectNone(product.flatMap(pureFaults), "hand the value in from the driver that calls it");
});

test("the language, messages and building blocks know nothing of Node", () => {
  const faults = product
    .filter(({ path }) => LAYERS[folderOf(path)]?.node === false)
    .flatMap(({ path, code }) =>
      [...code.matchAll(/\b(Buffer|process|require|__dirname|setTimeout|setInterval|setImmediate)\b(?!\s*:)/g)].map(
        (match) => `${path}: uses ${match[0]}`,
      ),
    );
  expectNone(faults, "use Uint8Array and the interfaces of base/ (Clock, Random, Log)");
});

test("folders are entered by their index.ts, and paths end in .ts", () => {
  const faults = sources.filter(({ path }) => path.startsWith("src/")).flatMap(doorFaults);
  expectNone(faults, "import from the other folder's index.ts, with the .ts ending");
});

test("no file imports itself by way of others", () => {
  expectNone(importCycles(), "move what both need into a third file");
});

test("every export is used by another file or is part of the package", () => {
  expectNone(unusedExports(), "remove the export keyword, or the code");
});

test("every folder's index.ts opens with a paragraph", () => {
  const folders = new Set(
    product.map(({ path }) => path.split("/")).flatMap(([, folder, file]) => (file ? [folder ?? ""] : [])),
  );
  const faults = [...folders].flatMap((folder) => {
    const index = byPath.get(`src/${folder}/index.ts`);
    if (index === undefined) return folder === "cli" ? [] : [`src/${folder}: has no index.ts`];
    const words = /^\/\*\*([\s\S]*?)\*\//.exec(index.text)?.[1]?.split(/\s+/).length ?? 0;
    return words < 15 ? [`src/${folder}/index.ts: does not open with a paragraph`] : [];
  });
  expectNone(faults, "begin it with a comment: what lives here, what must not, where to begin reading");
});

test("nothing is left undone or switched off", () => {
  const words = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|");
  const banned: readonly (readonly [RegExp, string])[] = [
    [new RegExp(`\\b(${words})\\b`), "an unfinished place"],
    [/@ts-(ignore|expect-error|nocheck)/, "a silenced type error"],
    [/biome-ignore-(all|start)/, "a silenced file"],
    [/\bas any\s*[;,)\]}.]|\bas unknown as [A-Z]/, "an unchecked type"],
    [/\b(test|it|describe|suite)\.(only|skip|todo)\b|\b(only|skip|todo): true\b/, "a test that is switched off"],
  ];
  const faults = sources.flatMap(({ path, text }) =>
    text
      .split("\n")
      .flatMap((line, at) =>
        banned.flatMap(([pattern, what]) => (pattern.test(line) ? [`${path}:${at + 1}: ${what}: ${line.trim()}`] : [])),
      ),
  );
  expectNone(faults, "finish it; a test that cannot run here says so by a condition with a reason");
});

test("no file is longer than a reader can hold", () => {
  const faults = sources.flatMap(({ path, text }) => {
    const lines = text.split("\n").length - 1;
    const most = isTest(path) || path.startsWith("test/") ? MAX_LINES.tests : MAX_LINES.product;
    return lines > most ? [`${path}: ${lines} lines, ${most} at most`] : [];
  });
  expectNone(faults, "split them by what they are about");
});

test("every dependency is imported, and every import is a dependency", () => {
  const manifest: unknown = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const shipped = namesUnder(manifest, "dependencies");
  const development = namesUnder(manifest, "devDependencies");
  const used = new Set(product.flatMap(({ imports }) => imports.map(({ from }) => packageOf(from))));
  const everywhere = sources.flatMap(({ path, imports }) =>
    imports.flatMap(({ from }) => {
      const name = packageOf(from);
      if (name === null || name === "postern" || shipped.has(name)) return [];
      if (development.has(name) && (!path.startsWith("src/") || isTest(path))) return [];
      return [`${path}: imports ${name}, which is no dependency that is there when this file runs`];
    }),
  );
  const idle = [...shipped]
    .filter((name) => !used.has(name))
    .map((name) => `package.json: nothing in src imports ${name}`);
  expectNone([...everywhere, ...idle], "add it to, or remove it from, package.json");
});

function layerFaults({ path, imports }: Source): string[] {
  const folder = folderOf(path);
  if (folder === "" || OPEN_FOLDERS.has(folder)) return [];
  const layer = LAYERS[folder];
  if (layer === undefined) return [`${path}: the folder ${folder} is in no layer; add it to the table of this test`];
  return imports.flatMap(({ from, typeOnly }) => {
    if (from.startsWith("node:")) return layer.node ? [] : [`${path}: ${folder} must not import ${from}`];
    const target = resolveImport(path, from);
    if (target === null) return [];
    const other = folderOf(target);
    if (other === folder) return [];
    if (other === "")
      return TOP_FILES[target]?.includes(folder) ? [] : [`${path}: ${folder} must not import ${target}`];
    if (!layer.folders.includes(other)) return [`${path}: ${folder} must not import ${other} (${from})`];
    const types = TYPES_ONLY.some((rule) => rule.from === folder && rule.to === other);
    return types && !typeOnly ? [`${path}: ${folder} may import only types from ${other}`] : [];
  });
}

function pureFaults({ path, imports }: Source): string[] {
  const rule = PURE_FILES.find(({ file }) => file.test(path));
  if (rule === undefined) return [];
  return imports.flatMap(({ from, typeOnly }) => {
    if (from.startsWith("node:")) return [`${path}: imports ${from}`];
    const target = resolveImport(path, from);
    if (target === null || typeOnly) return [];
    const other = folderOf(target);
    return other === folderOf(path) || rule.folders.includes(other) ? [] : [`${path}: imports ${other}`];
  });
}

function doorFaults({ path, imports }: Source): string[] {
  return imports.flatMap(({ from, typeOnly, deferred }) => {
    if (!from.startsWith(".")) return [];
    if (!/\.(ts|mjs|json)$/.test(from)) return [`${path}: ${from} has no .ts ending`];
    const target = resolveImport(path, from);
    if (target === null) return [];
    const [here, there] = [folderOf(path), folderOf(target)];
    if (here === there || there === "" || isTest(path) || OPEN_FOLDERS.has(here)) return [];
    // The value types of base and the ports stand in files that import nothing but types; a type import of one makes no cycle.
    if (typeOnly || target.endsWith("/index.ts") || SUBFOLDER_DOORS.test(target)) return [];
    if (deferred && DEFERRED.some((rule) => rule.from === here && rule.to === there)) return [];
    return [`${path}: reaches into ${target}`];
  });
}

/** Cycles of value imports; type imports are gone when the code runs. */
function importCycles(): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at !== -1) {
      cycles.push([...trail.slice(at), path].join(" → "));
      return;
    }
    if (done.has(path)) return;
    for (const { from, typeOnly } of byPath.get(path)?.imports ?? []) {
      const target = typeOnly ? null : resolveImport(path, from);
      if (target !== null) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const { path } of product) visit(path, []);
  return cycles;
}

/**
 * Exports that no other file names. A name counts as used where it is imported, or passed on by an index that is a door of
 * the package, or by one from which another file imports it.
 */
function unusedExports(): string[] {
  const uses = new Map<string, Set<string>>();
  for (const { path, imports } of sources) {
    for (const { from, names } of imports) {
      const target = resolveImport(path, from);
      if (target === null) continue;
      const set = uses.get(target) ?? new Set<string>();
      for (const name of names) set.add(name);
      uses.set(target, set);
    }
  }
  const isUsed = (path: string, name: string, seen: ReadonlySet<string> = new Set()): boolean => {
    if (ENTRIES.test(path)) return true;
    if (seen.has(path)) return false;
    const named = uses.get(path);
    if (named?.has(name) || named?.has("*")) return true;
    return product.some((other) =>
      other.exports.some(
        (passed) =>
          passed.from !== null &&
          resolveImport(other.path, passed.from) === path &&
          (passed.name === "*" || passed.local === name) &&
          isUsed(other.path, passed.name === "*" ? name : passed.name, new Set([...seen, path])),
      ),
    );
  };
  return product.flatMap(({ path, exports, code }) =>
    exports
      .filter(({ name, local, from, typeOnly }) => {
        // A type that the file's own signatures name belongs to what it offers; passing it on is no burden either.
        if (name === "*" || (typeOnly && (from !== null || timesNamed(code, local) > 1))) return false;
        return !isUsed(path, name);
      })
      .map(({ name }) => `${path}: nothing uses its export ${name}`),
  );
}

function timesNamed(code: string, name: string): number {
  return code.match(new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}(?![\\w$])`, "g"))?.length ?? 0;
}

function expectNone(faults: readonly string[], whatToDo: string): void {
  assert.ok(faults.length === 0, `${faults.length} places, ${whatToDo}:\n  ${[...new Set(faults)].join("\n  ")}`);
}

function readTree(folder: string): Source[] {
  let names: string[];
  try {
    names = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
  } catch {
    return []; // A folder that is not there yet has no faults.
  }
  return names
    .filter((name) => /\.ts$/.test(name) && !name.includes("node_modules"))
    .map((name) => {
      const text = readFileSync(join(ROOT, folder, name), "utf8");
      const code = withoutComments(text);
      const path = `${folder}/${name.split(sep).join("/")}`;
      return { path, text, code, imports: importsOf(code), exports: exportsOf(code) };
    });
}

/** The file of ours that an import names, from the root; null for packages and Node. */
function resolveImport(path: string, from: string): string | null {
  if (!from.startsWith(".")) return null;
  return relative(ROOT, resolve(ROOT, dirname(path), from))
    .split(sep)
    .join("/");
}

/** The top folder in `src`; "" for a file of `src` itself and for all outside. */
function folderOf(path: string): string {
  const [top, folder, file] = path.split("/");
  return top === "src" && file !== undefined ? (folder ?? "") : "";
}

/** Tests, and what only tests use. */
function isTest(path: string): boolean {
  return /\.test\.ts$|^src\/[^/]+\/store-conformance\.ts$/.test(path);
}

function packageOf(from: string): string | null {
  if (from.startsWith(".") || from.startsWith("node:")) return null;
  return /^(@[^/]+\/[^/]+|[^/]+)/.exec(from)?.[0] ?? null;
}

function namesUnder(manifest: unknown, key: string): ReadonlySet<string> {
  const value = typeof manifest === "object" && manifest !== null ? Reflect.get(manifest, key) : undefined;
  assert.ok(typeof value === "object" && value !== null, `package.json has no ${key}`);
  return new Set(Object.keys(value));
}
