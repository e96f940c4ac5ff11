import type { Command } from "commander";
import { configOption, readConfig } from "../configuration.ts";
import { EXIT } from "../terminal.ts";

export function addServe(program: Command): void {
  program
    .command("serve")
    .summary("run the server in the foreground")
    .description(
      "Runs the server in the foreground. SIGTERM or SIGINT stops it gracefully, a second one at once; SIGHUP reads " +
        "the configuration anew, with certificates and all other files that it names, without dropping a session.",
    )
    .addOption(configOption())
    .action(async (options: { config: string }) => {
      process.exitCode = await run(options.config);
    });
}

async function run(file: string): Promise<number> {
  const config = readConfig(file);
  if (config === null) return EXIT.failed;
  const [{ serve }, { makeLog }] = await Promise.all([import("../serving.ts"), import("../../logging.ts")]);
  return serve({ config, log: makeLog(config.log) });
}
