/**
 * Reads the import and export statements of our own sources, for the tests that hold the house in order. Not a parser: it
 * relies on the one formatting that all files here have.
 */

export interface ImportStatement {
  readonly from: string;
  /** Gone when the code runs. */
  readonly typeOnly: boolean;
  /** Loaded only where the code comes to it: `await import("...")`. */
  readonly deferred: boolean;
  /** What is named of the other file; `*` for all of it. */
  readonly names: readonly string[];
}

export interface Export {
  /** `*` for everything of another file. */
  readonly name: string;
  /** The name in the file it comes from. */
  readonly local: string;
  /** The file it is passed on from, or null. */
  readonly from: string | null;
  /** An interface or a type: nothing of it is left when the code runs. */
  readonly typeOnly: boolean;
}

/** The text with comments blanked out; strings and templates stay as they are. */
export function withoutComments(text: string): string {
  // Alternatives in order: strings, templates without nesting, regular expressions after an operator, comments.
  const token =
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|(?<=[=(,:!&|?;{}[\n]\s*)\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replace(token, (found) => (/^\/[/*]/.test(found) ? found.replace(/[^\n]/g, " ") : found));
}

/** The static imports, passed-on exports and dynamic imports of a source without comments. */
export function importsOf(code: string): ImportStatement[] {
  const found: ImportStatement[] = [];
  for (const match of code.matchAll(/^import\s+(type\s+)?([^"';]*?)\s*from\s*"([^"]+)"/gm)) {
    const [, type, clause = "", from = ""] = match;
    const names = namesIn(clause);
    const all = names.length > 0 && names.every((name) => name.type) && !hasDefault(clause);
    const locals = hasDefault(clause) || clause.includes("* as") ? ["*"] : names.map((name) => name.local);
    found.push({ from, typeOnly: type !== undefined || all, deferred: false, names: locals });
  }
  for (const match of code.matchAll(/^import\s*"([^"]+)"/gm))
    found.push({ from: match[1] ?? "", typeOnly: false, deferred: false, names: [] });
  for (const match of code.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g)) {
    found.push({ from: match[1] ?? "", typeOnly: false, deferred: true, names: ["*"] });
  }
  for (const match of code.matchAll(/^export\s+(type\s+)?(\{[^}]*\}|\*)\s*from\s*"([^"]+)"/gm)) {
    const names = namesIn(match[2] ?? "");
    const typeOnly = match[1] !== undefined || (names.length > 0 && names.every((name) => name.type));
    // Passing a name on is no use of it; who imports it from there is.
    found.push({ from: match[3] ?? "", typeOnly, deferred: false, names: [] });
  }
  return found;
}

/** What a source without comments exports. */
export function exportsOf(code: string): Export[] {
  const found: Export[] = [];
  const declared =
    /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(function\*?|class|interface|type|const|let)\s+([\w$]+)/gm;
  for (const [, kind, name = ""] of code.matchAll(declared)) {
    found.push({ name, local: name, from: null, typeOnly: kind === "interface" || kind === "type" });
  }
  for (const [, type, clause = "", from = null] of code.matchAll(
    /^export\s+(type\s+)?\{([^}]*)\}(?:\s*from\s*"([^"]+)")?/gm,
  )) {
    for (const passed of namesIn(`{${clause}}`)) {
      found.push({ name: passed.name, local: passed.local, from, typeOnly: type !== undefined || passed.type });
    }
  }
  for (const [, type, from = null] of code.matchAll(/^export\s+(type\s+)?\*\s*from\s*"([^"]+)"/gm)) {
    found.push({ name: "*", local: "*", from, typeOnly: type !== undefined });
  }
  return found;
}

function hasDefault(clause: string): boolean {
  return /^[\w$]+/.test(clause.trim());
}

function namesIn(clause: string): { readonly name: string; readonly local: string; readonly type: boolean }[] {
  const inner = /\{([^}]*)\}/.exec(clause)?.[1] ?? "";
  return inner
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      const type = /^type\s+/.test(part);
      const [local = "", name = local] = part.replace(/^type\s+/, "").split(/\s+as\s+/);
      return { name, local, type };
    });
}
