import { relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { Daemon } from "../../daemon/index.ts";
import type { FirstRun } from "../first-run.ts";
import { complain, EXIT, print } from "../terminal.ts";

export function addStart(program: Command): void {
  program
    .command("start")
    .summary("make what a first run needs, and serve")
    .description(
      "On the first run makes a configuration, a data folder, a self-signed certificate and a first user, all on loopback. " +
        "Then serves, and says what runs where and how to send a first message.",
    )
    .addOption(
      new Option("--config <file>", "the configuration file, made when it is not there").default("postern.toml"),
    )
    .action(async (options: { config: string }) => {
      process.exitCode = await run(resolve(options.config));
    });
}

async function run(file: string): Promise<number> {
  const [{ prepare, FIRST_USER }, { serve }, { makeLog }] = await Promise.all([
    import("../first-run.ts"),
    import("../serving.ts"),
    import("../../logging.ts"),
  ]);
  const prepared = await prepare(file);
  if (!prepared.ok) {
    for (const line of prepared.error) complain(line);
    return EXIT.failed;
  }
  const { config } = prepared.value;
  return serve({
    config,
    log: makeLog(config.log),
    ready: (daemon) => print(...welcome(prepared.value, daemon, FIRST_USER)),
  });
}

const PURPOSES: ReadonlyMap<string, string> = new Map([
  ["mx", "mail from other servers"],
  ["submission", "mail from users"],
]);

function welcome(made: FirstRun, { listeners }: Daemon, user: string): readonly string[] {
  const here = (path: string) => relative(process.cwd(), path) || path;
  const lines = ["", "Postern is ready.", ""];
  for (const { service, tls, local } of listeners) {
    const how = tls === "none" ? "clear text" : tls === "implicit" ? "implicit TLS" : "STARTTLS";
    const address = local.address.includes(":") ? `[${local.address}]` : local.address;
    lines.push(`  ${`${address}:${local.port}`.padEnd(18)} ${PURPOSES.get(service) ?? service} (${service}, ${how})`);
  }
  lines.push(
    "",
    `  configuration      ${here(made.config.file)}`,
    `  data               ${here(made.config.dataDir)}/`,
  );
  if (made.passwordFile !== null) {
    const password = made.password === null ? "" : `, password ${made.password}`;
    lines.push(`  first user         ${user}${password} (kept in ${here(made.passwordFile)})`);
  }
  lines.push(...firstMessage(made, listeners, user), "", "Ctrl-C stops it.", "");
  return lines;
}

/** Two lines to copy: one sends, one shows. Nothing where the first run's user, certificate or listener are gone. */
function firstMessage(made: FirstRun, listeners: Daemon["listeners"], user: string): readonly string[] {
  const submission = listeners.find(({ service, tls }) => service === "submission" && tls === "starttls");
  if (made.passwordFile === null || made.certificate === null || submission === undefined) return [];
  const here = (path: string) => relative(process.cwd(), path) || path;
  const postern = import.meta.url.endsWith(".ts") ? "./postern" : "postern";
  const mail = here(resolve(made.config.folder, "data", "mail", user.split("@")[0] ?? user, "new"));
  const message = `printf 'From: ${user}\\nTo: ${user}\\nSubject: Hello\\n\\nIt works.\\n'`;
  return [
    "",
    "Send a first message:",
    "",
    `  (cat ${here(made.passwordFile)}; ${message}) | ${postern} send --server localhost:${submission.local.port} ` +
      `--ca ${here(made.certificate)} --user ${user} --password-stdin --from ${user} --to ${user}`,
    "",
    "See it delivered:",
    "",
    `  cat ${mail}/*`,
  ];
}
