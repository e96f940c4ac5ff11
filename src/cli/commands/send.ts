import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { messageOf } from "../../base/index.ts";
import type { ClientAuth } from "../../client/index.ts";
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
  readonly tokenStdin?: true;
  readonly mechanism?: readonly string[];
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  readonly hello?: string;
  readonly from: string;
  readonly to: readonly string[];
}

const MECHANISMS = ["EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"];

const NOTES = `
The message is read from standard input. With --password-stdin (or --token-stdin) the first line of standard input is the password (the
OAuth token) and the rest is the message. With --client-certificate and --user, or --mechanism EXTERNAL, the certificate logs in. Line ends may be LF or CRLF. Each recipient's result is printed; the exit code is 0 when all were accepted, else 1.

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
    .option("--user <name>", "log in; needs --password-stdin, --token-stdin or --client-certificate")
    .option("--password-stdin", "the first line of standard input is the password")
    .addOption(
      new Option("--token-stdin", "the first line of standard input is an access token of OAuth").conflicts(
        "passwordStdin",
      ),
    )
    .addOption(
      new Option("--mechanism <name...>", "log in by one of these; the first that the server offers").choices(
        MECHANISMS,
      ),
    )
    .option("--client-certificate <file>", "show this certificate, PEM; needs --client-key")
    .option("--client-key <file>", "its key, PEM")
    .option("--hello <name>", "the name in EHLO (default: this machine's)", helloOf)
    .requiredOption("--from <address>", "the reverse-path; <> for none")
    .requiredOption("--to <address...>", "the recipients")
    .addHelpText("after", NOTES)
    .action(async (options: SendOptions, command: Command) => {
      const wrong = contradiction(options);
      if (wrong !== null) command.error(wrong, { exitCode: EXIT.usage });
      process.exitCode = await run(options);
    });
}

function contradiction(options: SendOptions): string | null {
  const { user, passwordStdin, tokenStdin, mechanism, clientCertificate, clientKey, tls } = options;
  const secret = passwordStdin ?? tokenStdin;
  const certified = clientCertificate !== undefined;
  if (certified !== (clientKey !== undefined)) return "--client-certificate and --client-key go together";
  if (secret !== undefined && user === undefined) return "--password-stdin and --token-stdin need --user";
  if (user !== undefined && secret === undefined && !certified)
    return "--user needs --password-stdin, --token-stdin or --client-certificate";
  if (mechanism !== undefined && user === undefined && !certified) return "--mechanism needs --user";
  if ((user !== undefined || certified) && tls === "none")
    return "nobody logs in over clear text; leave out --tls none";
  return null;
}

/** By what the options say: a secret before a certificate, and a certificate only where that is asked for. */
function authOf(options: SendOptions, secret: string): ClientAuth | null {
  const { user, passwordStdin, tokenStdin, mechanism: mechanisms } = options;
  const by = mechanisms === undefined ? {} : { mechanisms };
  if (user !== undefined && tokenStdin === true) return { user, token: secret, ...by };
  if (user !== undefined && passwordStdin === true) return { user, password: secret, ...by };
  if (user === undefined && mechanisms === undefined) return null;
  return { certificate: true, ...(user === undefined ? {} : { user }), ...by };
}

async function run(options: SendOptions): Promise<number> {
  const input = await readInput();
  const { tokenStdin, passwordStdin } = options;
  const secret = tokenStdin ?? passwordStdin;
  const { password, rest } = secret === undefined ? { password: "", rest: input } : splitPassword(input);
  if (tokenStdin === true && !TOKEN.test(password)) {
    complain("the first line of standard input is no access token");
    return EXIT.failed;
  }
  const ca = readPem("--ca", options.ca);
  const certificate = readPem("--client-certificate", options.clientCertificate);
  const privateKey = readPem("--client-key", options.clientKey);
  if (ca === "unreadable" || certificate === "unreadable" || privateKey === "unreadable") return EXIT.failed;
  const submission: Submission = {
    ...options.server,
    tls: options.tls,
    trust: options.insecure === true ? { kind: "any" } : { kind: "name", ca },
    auth: authOf(options, password),
    ...(certificate === null || privateKey === null ? {} : { clientCertificate: { certificate, privateKey } }),
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

/** RFC 6750 §2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** Null where no file was named; of one that cannot be read the operator is told here. */
function readPem(option: string, file: string | undefined): string | null | "unreadable" {
  if (file === undefined) return null;
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    complain(`${option} ${file} cannot be read: ${messageOf(cause)}`);
    return "unreadable";
  }
}

function helloOf(text: string): string {
  if (/^[^\s\p{C}]+$/u.test(text)) return text;
  throw new InvalidArgumentError("write a host name, such as client.example.org.");
}

function serverOf(text: string): { host: string; port: number } {
  const server = splitHostPort(text, null);
  if (server === null || server.port === 0) throw new InvalidArgumentError("write HOST:PORT, such as localhost:2525.");
  return server;
}
