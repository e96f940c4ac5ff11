import type { Command } from "commander";
import { configJsonSchema, configReference } from "../../config/index.ts";
import { print, printJson } from "../terminal.ts";

export function addConfig(program: Command): void {
  const config = program
    .command("config")
    .summary("print the reference of all settings, or their JSON Schema")
    .description("What may stand in a configuration file. 'postern check' validates one.");
  config
    .command("reference")
    .description("Prints every setting with its meaning, form and default, as Markdown.")
    .action(() => print(configReference().trimEnd()));
  config
    .command("schema")
    .description("Prints the JSON Schema of the configuration, for editors.")
    .action(() => printJson(configJsonSchema()));
}
