import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, mutated } from "./mutant.ts";

/** The project as it stands on the disk. */
export const root = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");

/** What tests read; `node_modules` and `tools` are only looked at, and too large to be copied. */
const COPIED = ["src", "test", "bench", "docs", "scripts", "package.json", "tsconfig.json", "postern", "README.md"];
const LINKED = ["node_modules", "tools"];

/** Copies the project, or an earlier copy of it, to a folder that does not exist yet. */
export async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const part of COPIED) await cp(join(from, part), join(to, part), { recursive: true });
  for (const part of LINKED) await symlink(join(root, part), join(to, part));
}

/** Runs `action` while the mutant's bug is in the copy. Null, with nothing run, where the mutant is stale. */
export async function withMutant<T>(tree: string, mutant: Mutant, action: () => Promise<T>): Promise<T | null> {
  const path = join(tree, mutant.file);
  const text = await readFile(path, "utf8");
  const broken = mutated(text, mutant);
  if (broken === null) return null;
  await writeFile(path, broken);
  try {
    return await action();
  } finally {
    await writeFile(path, text);
  }
}
