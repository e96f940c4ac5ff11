import { type Command, InvalidArgumentError } from "commander";
import type { Trust } from "../../daemon/index.ts";
import { configOption } from "../configuration.ts";
import { EXIT, print, printJson } from "../terminal.ts";
import { resultLines } from "../trust-text.ts";
import { withTrust } from "./tls-memory.ts";

const DAY = 86_400_000;

interface ShowOptions {
  readonly config: string;
  readonly domain?: string;
  /** Days since 1970-01-01. */
  readonly day?: number;
  readonly json?: true;
}

export function addTlsReport(program: Command): void {
  const report = program
    .command("tls-report")
    .summary("what TLS to other domains came to")
    .description("The sessions that are reported to other domains once a day (RFC 8460), and what failed in them.");
  report
    .command("show")
    .description("Prints the results of a UTC day. A running server writes them out once a minute.")
    .option("--domain <domain>", "only this domain", (text) => text.toLowerCase().replace(/\.$/, ""))
    .option("--day <day>", "one of the last ten days, as YYYY-MM-DD (default: today)", dayOf)
    .option("--json", "as a JSON array")
    .addOption(configOption())
    .action(async (options: ShowOptions) => {
      process.exitCode = await withTrust(options.config, (trust) => show(trust, options));
    });
}

function show(trust: Trust | null, { domain, day = today(), json }: ShowOptions): number {
  const names = trust?.results.domains(day) ?? [];
  const found = names.filter((name) => domain === undefined || name === domain);
  const date = new Date(day * DAY).toISOString().slice(0, 10);
  const results = found.map((name) => ({ day: date, domain: name, results: trust?.results.counts(day, name) ?? [] }));
  if (json === true) printJson(results);
  else if (results.length === 0) print(`no sessions on ${date} (UTC)${domain === undefined ? "" : ` for ${domain}`}`);
  else print(...results.flatMap((of) => resultLines(of.domain, of.results)));
  return EXIT.done;
}

function today(): number {
  return Math.floor(Date.now() / DAY);
}

function dayOf(text: string): number {
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(at)) throw new InvalidArgumentError("write it as 2026-11-22.");
  return Math.floor(at / DAY);
}
