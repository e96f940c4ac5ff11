import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { type Command, InvalidArgumentError, Option } from "commander";
import { splitHostPort } from "../../config/index.ts";
import { readConfig } from "../configuration.ts";
import { probeLines } from "../probe-text.ts";
import { complain, EXIT, print, printJson } from "../terminal.ts";

interface ProbeOptions {
  readonly port?: number;
  readonly starttls?: true;
  readonly implicit?: true;
  readonly json?: true;
  readonly config?: string;
  readonly ca?: string;
  readonly timeout: number;
}

const DEFAULT_PORT = { implicit: 465, starttls: 25 } as const;
const DEFAULT_TIMEOUT_SECONDS = 10;
const LONGEST_TIMEOUT_SECONDS = 300;

const NOTES = `
A domain's MX hosts are probed one after the other; HOST:PORT is that host alone. No mail is sent: EHLO, STARTTLS and QUIT only, on
a few connections. Exit code 1: a host cannot be reached, has no TLS, or does not show what its DANE records or its domain's MTA-STS
policy demand. Without such a policy an untrusted certificate is a warning. DANE needs a resolver that is trusted: name a
configuration with [dns] servers and trust_ad = true by --config.

Examples:
  postern probe example.org                          the MX hosts of a domain
  postern probe mail.example.org:587                 one host, STARTTLS
  postern probe mail.example.org --implicit          port 465, TLS from the first octet
  postern probe example.org --config postern.toml    with the DNS servers and authorities of a configuration`;

export function addProbe(program: Command): void {
  program
    .command("probe")
    .argument("<host-or-domain>", "a domain, a host, HOST:PORT; an IPv6 address in brackets")
    .summary("look at a mail server: TLS, certificate, DANE, MTA-STS")
    .description("Connects as a client would, tells what is offered and proven, and ends with a verdict.")
    .option("--port <number>", "the port (default: 25, with --implicit 465)", portOf)
    .addOption(new Option("--starttls", "begin in clear text and upgrade (the default)").conflicts("implicit"))
    .option("--implicit", "TLS from the first octet (the default for port 465); the target is a host")
    .option("--timeout <seconds>", "for each step", secondsOf, DEFAULT_TIMEOUT_SECONDS)
    .option("--ca <file>", "trust the authorities of this PEM file too, besides the system's")
    .option("--json", "as a JSON object")
    .option("--config <file>", "take DNS servers and authorities from this configuration")
    .addHelpText("after", NOTES)
    .action(async (target: string, options: ProbeOptions, command: Command) => {
      const aim = aimOf(target, options);
      if (typeof aim === "string") command.error(aim, { exitCode: EXIT.usage });
      else process.exitCode = await run(aim, options);
    });
}

interface Aim {
  readonly target: string;
  readonly port: number;
  readonly asHost: boolean;
  readonly implicit: boolean;
}

/** What to connect to, or what is wrong with the command line. */
function aimOf(written: string, options: ProbeOptions): Aim | string {
  const bare = isIP(written) === 6 ? { host: written, port: 0 } : splitHostPort(written, 0);
  if (bare === null) return "write a domain such as example.org, or HOST:PORT";
  const { port: inTarget } = bare;
  const named = inTarget === 0 ? null : inTarget;
  if (named !== null && options.port !== undefined) return "the port stands twice: in the target and in --port";
  const asked = named ?? options.port ?? null;
  const implicit = options.implicit === true || (options.starttls !== true && asked === DEFAULT_PORT.implicit);
  const target = isIP(bare.host) !== 0 ? bare.host : domainToASCII(bare.host.replace(/\.$/, "")).toLowerCase();
  if (target === "") return `${written} is no domain, host name or address`;
  const port = asked ?? DEFAULT_PORT[implicit ? "implicit" : "starttls"];
  return { target, port, asHost: named !== null || implicit, implicit };
}

async function run(aim: Aim, { config: file, timeout, json, ca }: ProbeOptions): Promise<number> {
  const config = file === undefined ? null : readConfig(file);
  if (file !== undefined && config === null) return EXIT.failed;
  const { probeTarget } = await import("../../daemon/probe.ts");
  const report = await probeTarget({ ...aim, timeout: timeout * 1000, ca: ca ?? null, config });
  if (!report.ok) {
    complain(report.error);
    return EXIT.failed;
  }
  if (json === true) printJson(report.value);
  else print(...probeLines(report.value));
  return report.value.verdict.status === "failed" ? EXIT.failed : EXIT.done;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new InvalidArgumentError("write a port from 1 to 65535.");
  return port;
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (!/^\d{1,3}$/.test(text) || seconds < 1 || seconds > LONGEST_TIMEOUT_SECONDS) {
    throw new InvalidArgumentError(`write whole seconds from 1 to ${LONGEST_TIMEOUT_SECONDS}.`);
  }
  return seconds;
}
