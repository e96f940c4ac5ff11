import { readFileSync } from "node:fs";
import type { Config } from "./model.ts";
import { type KeyPath, Places } from "./places.ts";

/**
 * The line (from 1) at which something stands in the file of a configuration, such as `["route", 0]` for its first route; null where
 * the file cannot be read any more. For explanations only: the file may have changed since it was read.
 */
export function configLine({ file }: Pick<Config, "file">, path: KeyPath): number | null {
  try {
    return new Places(readFileSync(file, "utf8")).line(path);
  } catch {
    return null;
  }
}
