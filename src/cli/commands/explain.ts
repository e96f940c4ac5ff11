import type { Command } from "commander";
import { configOption, readConfig } from "../configuration.ts";
import { explainLines } from "../explain-text.ts";
import { complain, EXIT, print, printJson } from "../terminal.ts";

const NOTES = `
Nothing is connected to but DNS and, for MTA-STS, the policy host; 'postern probe' looks at the hosts themselves. Exit code 1: mail to
the address could not be delivered now.

Examples:
  postern explain ann@example.org --config postern.toml
  postern explain ann@example.org --json`;

export function addExplain(program: Command): void {
  program
    .command("explain")
    .argument("<address>", "the recipient's address")
    .summary("tell where mail to an address would go, and what TLS it must prove")
    .description(
      "Follows the way of mail to an address as a delivery would: the route, each lookup with its DNSSEC status, the hosts in their " +
        "order, what each must prove and by whose rule, and when it would be tried again.",
    )
    .option("--json", "as a JSON object")
    .addOption(configOption())
    .addHelpText("after", NOTES)
    .action(async (address: string, options: { config: string; json?: true }) => {
      process.exitCode = await run(address, options.config, options.json === true);
    });
}

async function run(address: string, file: string, json: boolean): Promise<number> {
  const config = readConfig(file);
  if (config === null) return EXIT.failed;
  const { explainAddress } = await import("../../daemon/explain.ts");
  const report = await explainAddress(config, address);
  if (!report.ok) {
    for (const problem of report.error) complain(problem);
    return EXIT.failed;
  }
  if (json) printJson(report.value);
  else print(...explainLines(report.value));
  return report.value.deliverable ? EXIT.done : EXIT.failed;
}
