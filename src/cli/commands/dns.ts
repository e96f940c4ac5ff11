import type { Command } from "commander";
import { configOption, readConfig } from "../configuration.ts";
import { publishedLines, zoneLines } from "../records-text.ts";
import { complain, EXIT, print, printJson } from "../terminal.ts";

interface DnsOptions {
  readonly config: string;
  readonly check?: true;
  readonly json?: true;
  readonly nextKey?: string;
}

const EXAMPLES = `
Before the certificate gets another key, publish that key beside the one in use, wait until caches have forgotten the old answer
(an hour), then change the certificate. --next-key, or next_private_key in [tls], lists both.

Examples:
  postern dns --config postern.toml > zone.txt       records to put into the zone
  postern dns --check                                compare them with what is published; exit code 1 when something is wrong
  postern dns --next-key new-key.pem                 with the key of the next certificate`;

export function addDns(program: Command): void {
  program
    .command("dns")
    .summary("print the DNS records to publish, or check them")
    .description(
      "Prints the records that others need to send mail here safely, as a zone file: MX, TLSA (DANE), SPF, MTA-STS, TLS reports, " +
        "and where mail programs submit.",
    )
    .option("--check", "compare with what is published, by the configured DNS servers")
    .option("--json", "as a JSON object")
    .option("--next-key <file>", "the private key of the next certificate, PEM, to be published ahead")
    .addOption(configOption())
    .addHelpText("after", EXAMPLES)
    .action(async (options: DnsOptions) => {
      process.exitCode = await run(options);
    });
}

async function run({ config: file, check, json, nextKey }: DnsOptions): Promise<number> {
  const config = readConfig(file);
  if (config === null) return EXIT.failed;
  const { reportRecords } = await import("../../daemon/records.ts");
  const report = await reportRecords(config, { check: check === true, nextKey: nextKey ?? null });
  if (!report.ok) {
    for (const problem of report.error) complain(problem);
    return EXIT.failed;
  }
  if (json === true) printJson(report.value);
  else print(...(check === true ? publishedLines(report.value) : zoneLines(report.value)));
  return report.value.ok ? EXIT.done : EXIT.failed;
}
