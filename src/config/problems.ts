import type { z } from "zod";
import { printable } from "../base/index.ts";
import { acceptedForm, describe } from "./description.ts";
import { nearest } from "./nearest.ts";
import type { KeyPath } from "./places.ts";

/** One thing wrong with a configuration, with its place and what would be right. */
export interface ConfigProblem {
  readonly file: string;
  /** From 1; null where the file itself cannot be read. */
  readonly line: number | null;
  /** The key as it would be written in TOML, positions in lists left out: `listener.address`. Empty for the whole file. */
  readonly key: string;
  /** What is wrong. */
  readonly problem: string;
  /** What to write or do instead. */
  readonly remedy: string;
}

/** The most characters of one formatted problem. */
const MAX_LINE = 1000;

/** `postern.toml:12: listener.tls: "starttsl" is not known; write "starttls", "implicit" or "none"`, on one line. */
export function formatConfigProblem(problem: ConfigProblem): string {
  const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}`;
  const key = problem.key === "" ? "" : `${problem.key}: `;
  // Keys and values may hold escapes; none of them may reach a terminal.
  return printable(`${place}: ${key}${problem.problem}; ${problem.remedy}`, MAX_LINE);
}

/** A problem before its place in the file is looked up. */
export interface Finding {
  readonly path: KeyPath;
  readonly problem: string;
  readonly remedy: string;
}

/** What zod found, in words. One issue about several unknown keys becomes one finding each. */
export function findingsOf(issue: z.core.$ZodIssue): readonly Finding[] {
  const path = issue.path.map((key) => (typeof key === "symbol" ? String(key) : key));
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(path, key));
  const node = describe(path);
  const form = node === null ? "what the reference describes" : acceptedForm(node);
  return [{ path, problem: complaint(issue), remedy: `write ${form}${suggestion(issue, node?.enum ?? [])}` }];
}

function unknownKey(path: KeyPath, key: string): Finding {
  const known = Object.keys(describe(path)?.properties ?? {});
  const meant = nearest(key, known);
  return {
    path: [...path, key],
    problem: "unknown key",
    remedy: meant === null ? `known here: ${known.join(", ")}` : `did you mean ${meant}?`,
  };
}

function complaint(issue: z.core.$ZodIssue): string {
  if (issue.code === "custom") return issue.message;
  if (issue.input === undefined && issue.code === "invalid_type") return "is missing";
  return `${shown(issue.input)} is not accepted`;
}

function suggestion(issue: z.core.$ZodIssue, known: readonly string[]): string {
  const meant = typeof issue.input === "string" ? nearest(issue.input, known) : null;
  return meant === null ? "" : ` (did you mean ${JSON.stringify(meant)}?)`;
}

/** A value as it is named in a problem: short, on one line. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (value instanceof Date) return "a date";
  if (typeof value === "object" && value !== null) return "a table";
  const written = JSON.stringify(value) ?? String(value);
  return written.length > 80 ? `${written.slice(0, 80)}…` : written;
}
