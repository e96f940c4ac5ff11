import { Option } from "commander";
import { type Config, formatConfigProblem, loadConfig } from "../config/index.ts";
import { complain } from "./terminal.ts";

/** `--config FILE`, the same for all commands that need one. */
export function configOption(): Option {
  return new Option("--config <file>", "the configuration file").default("postern.toml").env("POSTERN_CONFIG");
}

/** The configuration, or null after all its problems were written to standard error. */
export function readConfig(file: string): Config | null {
  const loaded = loadConfig(file);
  if (loaded.ok) return loaded.value;
  for (const problem of loaded.error) complain(formatConfigProblem(problem));
  return null;
}
