import { z } from "zod";
import { settings } from "./schema.ts";

/** What the settings say of one value or table: a node of JSON Schema, as far as this folder reads it. */
export interface Description {
  /** Missing where a value may be of several types. */
  readonly type?: string;
  readonly anyOf?: readonly Description[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: { readonly [key: string]: Description };
  readonly required?: readonly string[];
  readonly items?: Description;
  /** The form of a text with one of its own. */
  readonly accepted?: string;
}

/** The settings as written in a file. */
export const description: Description = z.toJSONSchema(settings, { io: "input" }) as Description; // zod's output; a test walks it whole

/** The description of the value at `path`, null where the path leads outside the settings. */
export function describe(path: readonly PropertyKey[]): Description | null {
  let node: Description | undefined = description;
  for (const key of path) {
    if (typeof key === "number") node = node?.items;
    else node = Object.hasOwn(node?.properties ?? {}, key) ? node?.properties?.[String(key)] : undefined;
  }
  return node ?? null;
}

/** The form a value may have, as the end of the sentence "write …". */
export function acceptedForm(node: Description): string {
  if (node.accepted !== undefined) return node.accepted;
  if (node.enum !== undefined) return alternatives(node.enum.map((value) => JSON.stringify(value)));
  if (node.type === "integer") return `a whole number from ${node.minimum ?? 0} to ${node.maximum ?? "any"}`;
  if (node.type === "boolean") return "true or false";
  if (node.type === "array") return node.items?.properties === undefined ? "a list in brackets" : "one or more tables";
  return node.type === "object" ? "a table" : "a text in quotes";
}

function alternatives(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}
