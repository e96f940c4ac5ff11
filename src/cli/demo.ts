import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { err, type LogFields, ok, printable, type Result } from "../base/index.ts";
import { type Config, formatConfigProblem, parseConfig } from "../config/index.ts";
import { type Daemon, openUsers, startDaemon, writeSelfSignedCertificate } from "../daemon.ts";
import { createEventLog, type EventLog } from "./event-log.ts";
import { submit } from "./submission.ts";
import { complain, EXIT, print } from "./terminal.ts";

const SENDER = "alice@first.test";
const RECIPIENT = "bob@second.test";
const PASSWORD = "a password for the demo";
const MESSAGE = `From: Alice <${SENDER}>\r\nTo: Bob <${RECIPIENT}>\r\nSubject: The journey\r\n\r\nHello Bob!\r\n`;

/** How long the message may travel, milliseconds. */
const PATIENCE = 15_000;
const LOOK_EVERY = 50;

interface DemoNode {
  readonly name: string;
  readonly config: Config;
  readonly daemon: Daemon;
  readonly log: EventLog;
}

/** Plays the journey of one message from a client by two servers into a Maildir. The result is the exit code. */
export async function play(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "postern-demo-"));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  const second = await startNode(folder, "second", "");
  if (!second.ok) return failed(second.error);
  cleanup.defer(() => second.value.daemon.stop());
  const route = `[[route]]\nmatch = "second.test"\nvia = "smtp://127.0.0.1:${portOf(second.value, "mx")}"\ntls = "encrypted"\n`;
  const first = await startNode(folder, "first", route);
  if (!first.ok) return failed(first.error);
  cleanup.defer(() => first.value.daemon.stop());
  const added = await openUsers(first.value.config).add(SENDER, PASSWORD);
  if (!added.ok) return failed([added.error]);
  print("Two servers run on this machine, each with a queue and a certificate of its own:");
  for (const node of [first.value, second.value])
    print(...node.daemon.listeners.map((port) => `  ${place(node.name, port)}`));
  return travel(folder, first.value, second.value);
}

async function travel(folder: string, first: DemoNode, second: DemoNode): Promise<number> {
  print("", `1. ${SENDER} submits to first.test, over STARTTLS, with a login:`);
  const certificate = readFileSync(join(folder, "first", "cert.pem"), "utf8");
  const submitted = await submit({
    host: "127.0.0.1",
    port: portOf(first, "submission"),
    tls: "starttls",
    trust: { kind: "name", ca: certificate },
    auth: { user: SENDER, password: PASSWORD },
    hello: "client.test",
    from: SENDER,
    to: [RECIPIENT],
    message: Buffer.from(MESSAGE),
  });
  if (!submitted.ok) return failed([submitted.error]);
  print(`   TLS    ${submitted.value.tls ?? "none"}, the certificate proves the name`);
  for (const { address, text } of submitted.value.results) print(`   reply  ${address}: ${text}`);
  const mail = await arrival(join(folder, "second", "mail", "bob", "new"));
  print("", "2. first.test relays to second.test, over STARTTLS as its route demands:", ...story(first.log));
  print("", "3. second.test takes it, and stores it:", ...story(second.log));
  if (mail === null) return failed([`the message did not arrive within ${PATIENCE / 1000} seconds`]);
  print(
    "",
    `4. It lies in ${mail.file}:`,
    "",
    ...mail.text.split(/\r?\n/).map((line) => `   ${printable(line)}`.trimEnd()),
  );
  print("Both servers stop, and the folder is removed.");
  return EXIT.done;
}

async function startNode(folder: string, name: string, route: string): Promise<Result<DemoNode, readonly string[]>> {
  const home = join(folder, name);
  await writeSelfSignedCertificate([`${name}.test`, "localhost"], join(home, "cert.pem"), join(home, "key.pem"));
  const parsed = parseConfig(
    `hostname = "${name}.test"
data_dir = "data"
[[listener]]
address = "127.0.0.1:0"
service = "mx"
[[listener]]
address = "127.0.0.1:0"
service = "submission"
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[[domain]]
name = "${name}.test"
deliver = "maildir:mail/{user}"
${route}`,
    join(home, "postern.toml"),
  );
  if (!parsed.ok) return err(parsed.error.map(formatConfigProblem));
  const log = createEventLog();
  const daemon = await startDaemon(parsed.value, { log });
  return daemon.ok ? ok({ name, config: parsed.value, daemon: daemon.value, log }) : daemon;
}

/** The first message in a Maildir folder, null when none comes in time. */
async function arrival(folder: string): Promise<{ readonly file: string; readonly text: string } | null> {
  for (let waited = 0; waited < PATIENCE; waited += LOOK_EVERY) {
    const name = listed(folder)[0];
    if (name !== undefined) return { file: join(folder, name), text: readFileSync(join(folder, name), "utf8") };
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  return null;
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    // The folder is made by the first delivery.
    return [];
  }
}

/** The steps a server logged, one line each, with what matters to a reader. */
function story(log: EventLog): readonly string[] {
  return log.events
    .filter(({ event }) =>
      /^(session\.secured|intake\.message|delivery\.|queue\.(delivered|deferred|failed))/.test(event),
    )
    .map(({ event, fields }) => `   ${event.padEnd(24)} ${described(fields)}`);
}

function described(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([key, value]) => key !== "session" && value !== null && value !== undefined)
    .map(([key, value]) => `${key}=${printable(typeof value === "string" ? value : JSON.stringify(value))}`)
    .join(" ");
}

function portOf(node: DemoNode, service: string): number {
  return node.daemon.listeners.find((listener) => listener.service === service)?.local.port ?? 0;
}

function place(name: string, { service, tls, local }: Daemon["listeners"][number]): string {
  return `${`${name}.test`.padEnd(12)} ${local.address}:${local.port}  ${service}, ${tls}`;
}

function failed(lines: readonly string[]): number {
  for (const line of lines) complain(`demo: ${line}`);
  return EXIT.failed;
}
