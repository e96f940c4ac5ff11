import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { splitHostPort } from "../../config/index.ts";
import type { Submission } from "../submission.ts";
import { complain, EXIT, print, readInput, splitPassword } from "../terminal.ts";

interface SendOptions {
  readonly server: { readonly host: string; readonly port: number };
  readonly tls: "starttls" | "implicit" | "none";
  readonly insecure?: true;
  readonly ca?: string;
  readonly user?: string;
  readonly passwordStdin?: true;
  readonly hello?: string;
  readonly from: string;
  readonly to: readonly string[];
}

const NOTES = `
The message is read from standard input. With --password-stdin the first line of standard input is the password and the rest is
the message. Line ends may be LF or CRLF. Each recipient's result is printed; the exit code is 0 when all were accepted, else 1.

Examples:
  postern send --server localhost:2525 --tls none --from a@example.org --to b@example.net < message.eml
  (cat password; cat message.eml) | postern send --server mail.example.org:587 --user a --password-stdin \\
    --from a@example.org --to b@example.net c@example.net`;

export function addSend(program: Command): void {
  program
    .command("send")
    .summary("send a message to a server")
    .description(
      "Sends one message by SMTP. The server's certificate has to be valid for its name unless told otherwise.",
    )
    .requiredOption("--server <host:port>", "the server; an IPv6 address in brackets", serverOf)
    .addOption(
      new Option("--tls <mode>", "demand STARTTLS, begin with the handshake, or use clear text")
        .choices(["starttls", "implicit", "none"])
        .default("starttls"),
    )
    .addOption(
      new Option("--ca <file>", "trust the certificates of this PEM file, not the system's").conflicts("insecure"),
    )
    .option("--insecure", "take any certificate; for tests only")
    .option("--user <name>", "log in; needs --password-stdin")
    .option("--password-stdin", "the first line of standard input is the password")
    .option("--hello <name>", "the name in EHLO (default: this machine's)")
    .requiredOption("--from <address>", "the reverse-path; <> for none")
    .requiredOption("--to <address...>", "the recipients")
    .addHelpText("after", NOTES)
    .action(async (options: SendOptions, command: Command) => {
      const wrong = contradiction(options);
      if (wrong !== null) command.error(wrong, { exitCode: EXIT.usage });
      process.exitCode = await run(options);
    });
}

function contradiction({ user, passwordStdin, tls }: SendOptions): string | null {
  if ((user === undefined) !== (passwordStdin === undefined)) return "--user and --password-stdin go together";
  if (user !== undefined && tls === "none") return "a password is never sent in clear text; leave out --tls none";
  return null;
}

async function run(options: SendOptions): Promise<number> {
  const input = await readInput();
  const { password, rest } = options.user === undefined ? { password: "", rest: input } : splitPassword(input);
  let ca: string | null = null;
  try {
    ca = options.ca === undefined ? null : readFileSync(options.ca, "utf8");
  } catch (cause) {
    complain(`--ca ${options.ca} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    return EXIT.failed;
  }
  const submission: Submission = {
    ...options.server,
    tls: options.tls,
    trust: options.insecure === true ? { kind: "any" } : { kind: "name", ca },
    auth: options.user === undefined ? null : { user: options.user, password },
    hello: options.hello ?? null,
    from: options.from,
    to: options.to,
    message: rest,
  };
  const { submit } = await import("../submission.ts");
  const submitted = await submit(submission);
  if (!submitted.ok) {
    complain(`${options.server.host}:${options.server.port}: ${submitted.error}`);
    return EXIT.failed;
  }
  print(...submitted.value.results.map(({ address, text }) => `${address}: ${text}`));
  return submitted.value.results.every(({ accepted }) => accepted) ? EXIT.done : EXIT.failed;
}

function serverOf(text: string): { host: string; port: number } {
  const server = splitHostPort(text, null);
  if (server === null || server.port === 0) throw new InvalidArgumentError("write HOST:PORT, such as localhost:2525.");
  return server;
}
