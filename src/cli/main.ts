#!/usr/bin/env -S node --max-semi-space-size=16
/**
 * The command line. Each command is a file of `commands/`; this one names them, loads the one that is meant, and has the last word on
 * errors: one plain line on standard error and an exit code, never a stack trace unless asked for.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { asError } from "../base/index.ts";
import { complain, EXIT } from "./terminal.ts";

/** Loads what adds one command to the program; commands pull in the configuration, the queue and more, each what it needs. */
type Load = () => Promise<(program: Command) => void>;

/** In the order of the help text. */
const COMMANDS: ReadonlyMap<string, Load> = new Map([
  ["serve", async () => (await import("./commands/serve.ts")).addServe],
  ["check", async () => (await import("./commands/check.ts")).addCheck],
  ["start", async () => (await import("./commands/start.ts")).addStart],
  ["user", async () => (await import("./commands/user.ts")).addUser],
  ["send", async () => (await import("./commands/send.ts")).addSend],
  ["queue", async () => (await import("./commands/queue.ts")).addQueue],
  ["probe", async () => (await import("./commands/probe.ts")).addProbe],
  ["explain", async () => (await import("./commands/explain.ts")).addExplain],
  ["dns", async () => (await import("./commands/dns.ts")).addDns],
  ["tls-memory", async () => (await import("./commands/tls-memory.ts")).addTlsMemory],
  ["tls-report", async () => (await import("./commands/tls-report.ts")).addTlsReport],
  ["config", async () => (await import("./commands/config.ts")).addConfig],
  ["demo", async () => (await import("./commands/demo.ts")).addDemo],
]);

const EXAMPLES = `
Examples:
  postern start                              make a first configuration, and serve
  postern check --config postern.toml        list everything wrong with a configuration
  postern serve --config postern.toml        run the server
  postern demo                               watch a message travel between two servers
  postern send --server mail.example.org:587 --user alice --password-stdin \\
    --from alice@example.org --to bob@example.net < input
  postern queue list                         see what waits, and why
  postern probe example.org                  look at the mail servers of a domain
  postern explain ann@example.org            tell where mail would go, and what TLS it must prove
  postern dns --check                        compare the DNS records with those that this server needs

Exit codes: 0 done, 1 failed, 2 the command line is wrong.`;

async function program(): Promise<Command> {
  const root = new Command("postern")
    .description("Secure SMTP: a mail transfer agent, a submission server and a client.")
    .version(version(), "-V, --version", "print the version")
    .addHelpText("after", EXAMPLES)
    .configureOutput({ outputError: (text, write) => write(usageLine(text)) })
    .exitOverride();
  for (const load of meant(process.argv[2])) (await load())(root);
  return inherit(root);
}

/** What has to be known to understand a line that begins so: one command, none for the version, all for the help and a wrong name. */
function meant(first: string | undefined): readonly Load[] {
  if (first === "-V" || first === "--version") return [];
  const named = first === undefined ? undefined : COMMANDS.get(first);
  return named === undefined ? [...COMMANDS.values()] : [named];
}

/** commander's complaint on one line, as all others are. */
function usageLine(text: string): string {
  const line = text
    .trim()
    .replace(/^error: /, "")
    .replaceAll(/\s*\n\s*/g, " ");
  return `postern: ${line} ('postern --help' and 'postern COMMAND --help' tell more)\n`;
}

/** Commands made by `command()` copy these settings when they are made; nested ones and later settings need a second pass. */
function inherit(command: Command): Command {
  for (const child of command.commands) inherit(child.copyInheritedSettings(command));
  return command;
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const found = typeof manifest === "object" && manifest !== null ? Reflect.get(manifest, "version") : null;
  return String(found);
}

async function main(): Promise<void> {
  // `postern queue list | head` closes our output early; that is no failure of ours.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  process.on("uncaughtException", fail);
  try {
    await (await program()).parseAsync();
  } catch (cause) {
    // commander has written its complaint, or the help that was asked for.
    if (cause instanceof CommanderError) process.exitCode = cause.exitCode === 0 ? EXIT.done : EXIT.usage;
    else fail(cause);
  }
}

/** What nobody expected: a bug, or a machine in trouble. The process ends, for nothing is known of its state. */
function fail(cause: unknown): never {
  const error = asError(cause);
  complain(`${error.message}${process.env.POSTERN_DEBUG === "1" ? "" : " (run with POSTERN_DEBUG=1 for the trace)"}`);
  if (process.env.POSTERN_DEBUG === "1") process.stderr.write(`${error.stack}\n`);
  process.exit(EXIT.failed);
}

await main();
