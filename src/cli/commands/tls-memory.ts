import type { Command } from "commander";
import type { Trust } from "../../daemon/index.ts";
import { configOption, readConfig } from "../configuration.ts";
import { complain, EXIT, print, printJson } from "../terminal.ts";
import { classicalLines, memoryLines } from "../trust-text.ts";

interface MemoryOptions {
  readonly config: string;
  readonly json?: true;
  readonly all?: true;
}

export function addTlsMemory(program: Command): void {
  const memory = program
    .command("tls-memory")
    .summary("what hosts have proven before, and forget it")
    .description(
      "What the hosts of other domains have proven when mail was sent to them. One that shows less is held to it for a set time, " +
        "and its mail waits. Beside a running server, or a stopped one.",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  postern tls-memory list example.net\n  postern tls-memory clear mx1.example.net",
    );
  memory
    .command("list")
    .argument("[name]", "only this host or domain")
    .description("Lists what is remembered, in order of domain and host.")
    .option("--json", "as a JSON object")
    .addOption(configOption())
    .action(async (name: string | undefined, options: MemoryOptions) => {
      process.exitCode = await withTrust(options.config, (trust) => list(trust, name ?? null, options.json === true));
    });
  memory
    .command("clear")
    .argument("[name]", "the host or domain")
    .description("Forgets what a host proved, or the hosts of a domain, so that what they show next is believed.")
    .option("--all", "all hosts")
    .option("--json", "report as a JSON object")
    .addOption(configOption())
    .action(async (name: string | undefined, options: MemoryOptions, command: Command) => {
      if ((options.all === true) === (name !== undefined))
        command.error("error: name a host or domain, or write --all", { exitCode: EXIT.usage });
      process.exitCode = await withTrust(options.config, (trust) => clear(trust, name ?? null, options.json === true));
    });
}

/** `trust` is null where nothing was remembered yet. */
export async function withTrust(file: string, run: (trust: Trust | null) => number): Promise<number> {
  const config = readConfig(file);
  if (config === null) return EXIT.failed;
  const { readTrust } = await import("../../daemon/trust.ts");
  const opened = readTrust(config);
  if (!opened.ok) {
    complain(opened.error);
    return EXIT.failed;
  }
  try {
    return run(opened.value);
  } finally {
    opened.value?.close();
  }
}

function list(trust: Trust | null, name: string | null, json: boolean): number {
  const { hosts, classical } = trust?.memory.list(nameOf(name)) ?? { hosts: [], classical: [] };
  if (json) {
    printJson({
      hosts: hosts.map((host) => ({ ...host, provenAt: iso(host.provenAt), fellAt: host.fellAt && iso(host.fellAt) })),
      classical: classical.map(({ host, until }) => ({ host, until: iso(until) })),
    });
  } else if (hosts.length + classical.length === 0) print("nothing is remembered");
  else print(...memoryLines(hosts), ...classicalLines(classical));
  return EXIT.done;
}

function clear(trust: Trust | null, name: string | null, json: boolean): number {
  const cleared = trust?.memory.clear(nameOf(name)) ?? 0;
  if (json) printJson({ cleared });
  else if (cleared > 0) print(`${cleared} ${cleared === 1 ? "entry is" : "entries are"} forgotten`);
  if (cleared === 0 && name !== null) {
    complain(`tls-memory clear: nothing is remembered of ${name}; 'postern tls-memory list' shows all`);
    return EXIT.failed;
  }
  if (cleared === 0 && !json) print("nothing is remembered");
  return EXIT.done;
}

/** As names are kept. */
function nameOf(name: string | null): string | null {
  return name === null ? null : name.toLowerCase().replace(/\.$/, "");
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
