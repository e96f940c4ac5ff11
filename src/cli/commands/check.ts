import type { Command } from "commander";
import { configOption, readConfig } from "../configuration.ts";
import { complain, EXIT, print } from "../terminal.ts";

export function addCheck(program: Command): void {
  program
    .command("check")
    .summary("validate the configuration, certificates and data folder")
    .description(
      "Lists every problem of the configuration with its line, then tries the certificates, the data folder and the ports. " +
        "Exits with 1 when there is any problem; a warning is none.",
    )
    .addOption(configOption())
    .action(async (options: { config: string }) => {
      process.exitCode = await run(options.config);
    });
}

async function run(file: string): Promise<number> {
  const config = readConfig(file);
  if (config === null) return EXIT.failed;
  const { checkConfig, checkWarnings } = await import("../../daemon/checks.ts");
  const problems = await checkConfig(config);
  for (const problem of problems) complain(problem);
  for (const warning of checkWarnings(config)) complain(`warning: ${warning}`);
  if (problems.length > 0) return EXIT.failed;
  print(`${file}: all is well`);
  return EXIT.done;
}
