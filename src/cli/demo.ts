import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { err, type LogFields, ok, printable, type Result } from "../base/index.ts";
import { type Config, formatConfigProblem, parseConfig } from "../config/index.ts";
import { type Daemon, openUsers, startDaemon, writeSelfSignedCertificate } from "../daemon/index.ts";
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
  // Awaited here, or the servers would be stopped before the journey.
  return await travel(folder, first.value, second.value);
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
  print(...story(first.log, "intake."));
  const mail = await arrival(join(folder, "second", "mail", "bob", "new"));
  // The file is there a moment before both servers know of it.
  await until(() => [first, second].every(({ log }) => story(log, "queue.").length > 0));
  print("", "2. first.test relays to second.test, over STARTTLS as its route demands:");
  print(...story(second.log, "session."), ...story(second.log, "intake."), ...story(first.log, "queue."));
  print("", "3. second.test delivers:", ...story(second.log, "queue."));
  if (mail === null) return failed([`the message did not arrive within ${PATIENCE / 1000} seconds`]);
  const text = mail.text.replaceAll("\t", "    ").trimEnd().split(/\r?\n/);
  print("", `4. It lies in ${mail.file}:`, "", ...text.map((line) => `   ${printable(line)}`.trimEnd()), "");
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
  await until(() => listed(folder).length > 0);
  const [name] = listed(folder);
  return name === undefined ? null : { file: join(folder, name), text: readFileSync(join(folder, name), "utf8") };
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; waited < PATIENCE && !condition(); waited += LOOK_EVERY) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    // The folder is made by the first delivery.
    return [];
  }
}

/** What the log events that a reader of the demo cares for say, in words. */
const SENTENCES: ReadonlyMap<string, (fields: LogFields) => string> = new Map([
  ["session.secured", ({ version, cipher, group }) => `TLS    ${[version, cipher, group].filter(Boolean).join(" ")}`],
  [
    "intake.message.accepted",
    ({ id, size, from, to }) => `queue  ${id}: ${size} octets from ${from} to ${to}, on disk before the reply`,
  ],
  ["intake.message.refused", ({ reply }) => `queue  refused: ${reply}`],
  ["queue.delivered", ({ id, text }) => `done   ${id}: ${text}`],
  ["queue.deferred", ({ id, text, next }) => `later  ${id}: ${text}; next ${next}`],
  ["queue.failed", ({ id, text }) => `failed ${id}: ${text}`],
]);

/** The steps a server logged whose event begins with `prefix`, one line each. */
function story(log: EventLog, prefix: string): readonly string[] {
  return log.events.flatMap(({ event, fields }) => {
    const sentence = event.startsWith(prefix) ? SENTENCES.get(event) : undefined;
    return sentence === undefined ? [] : [`   ${printable(sentence(fields))}`];
  });
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
