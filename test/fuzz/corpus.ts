import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "corpus");

/** One saved input of a target. */
export interface Case {
  readonly name: string;
  readonly octets: Uint8Array;
}

/** The saved inputs of a target: seeds, and what was found once and must never come back. */
export function readCorpus(target: string): readonly Case[] {
  const folder = join(FOLDER, target);
  let names: readonly string[];
  try {
    names = readdirSync(folder).sort();
  } catch {
    return [];
  }
  return names.map((name) => ({ name, octets: new Uint8Array(readFileSync(join(folder, name))) }));
}

/** Keeps an input; gives back where. */
export function saveCase(target: string, kind: "found" | "hang", octets: Uint8Array): string {
  const folder = join(FOLDER, target);
  mkdirSync(folder, { recursive: true });
  const name = `${kind}-${createHash("sha256").update(octets).digest("hex").slice(0, 12)}`;
  writeFileSync(join(folder, name), octets);
  return join("test/fuzz/corpus", target, name);
}
