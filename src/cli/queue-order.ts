import { type Command, InvalidArgumentError, Option } from "commander";
import type { Action, ActionReport, ActOptions, Admin, Filter, Target } from "../admin/index.ts";
import { err, ok, type Result } from "../base/index.ts";
import { parseDuration, parseMatch, parseReplyPattern, parseVia, type TlsLevel } from "../config/index.ts";
import { complain, EXIT, print, printJson } from "./terminal.ts";

/** What is written behind `postern queue ACTION`. */
export interface ActionSettings {
  readonly config: string;
  readonly all?: true;
  readonly json?: true;
  readonly domain?: string;
  readonly sender?: string;
  readonly olderThan?: number;
  readonly reply?: string;
  readonly dryRun?: true;
  /** Null: as configured. */
  readonly via?: Exclude<ReturnType<typeof viaOf>, undefined>;
  readonly tls?: TlsLevel;
}

/** An action on what was named. */
interface Order {
  readonly action: Action;
  readonly targets: readonly Target[];
  readonly options: ActOptions;
  readonly json: boolean;
}

/** Lines written at a time. */
const TOGETHER = 1000;

const DONE: Record<Action, string> = {
  retry: "due now",
  hold: "held",
  release: "released",
  remove: "removed",
  reroute: "rerouted",
};

/** The options that say which mail is meant, the same for every action. */
export function addTargets(command: Command, action: Action): Command {
  command
    .option("--all", "all messages in the queue")
    .option("--domain <domain>", "recipients of this domain, or of all below it: .example.org", checked(parseMatch))
    .option("--sender <address>", "messages from this sender: a mailbox, @domain, or <> for reports", senderOf)
    .option(
      "--older-than <time>",
      "messages that came so long ago or before, such as 30m, 2h or 3d",
      checked(parseDuration),
    )
    .option(
      "--reply <reply>",
      "recipients whose last attempt ended so: 451, 45*, 4.7.1, 4.7.*, or none for trouble without a reply",
      checked(parseReplyPattern),
    )
    .option("--dry-run", "only tell what would be done")
    .option("--json", "report as a JSON object");
  if (action !== "reroute") return command;
  const levels = ["off", "opportunistic", "encrypted", "verified", "dane"];
  return command
    .requiredOption(
      "--via <hop>",
      "smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT; or configuration: as configured",
      viaOf,
    )
    .addOption(
      new Option("--tls <level>", "the least that a connection there must prove, as in a route").choices(levels),
    );
}

/** What is to be done, or why that cannot be told from what was written. */
export function orderOf(action: Action, ids: readonly string[], given: ActionSettings): Result<Order, string> {
  const { all, json, domain, sender, olderThan, reply, dryRun, via, tls } = given;
  const filter: Filter = { domain, sender, olderThan, reply };
  const isFiltered = Object.values(filter).some((part) => part !== undefined);
  const isWide = isFiltered || all === true;
  if (isWide === ids.length > 0) {
    return err(
      ids.length === 0
        ? "name messages by their ids, or by --domain, --sender, --older-than and --reply, or write --all"
        : "name messages by their ids or by options, not by both",
    );
  }
  const override = via === undefined || via === null || tls === undefined ? null : { ...via, tls };
  if (action === "reroute" && via !== null && tls === undefined) {
    return err("say by --tls what a connection there must prove: off, opportunistic, encrypted, verified or dane");
  }
  if (via === null && tls !== undefined) return err("--tls says nothing where mail goes as configured");
  const targets: readonly Target[] = isFiltered ? [{ filter }] : isWide ? [{ all: true }] : ids.map((id) => ({ id }));
  const options = { dryRun: dryRun === true, ...(action === "reroute" ? { override } : {}) };
  return ok({ action, targets, options, json: json === true });
}

/** Carries it out, and tells what was done: ids one by one, of many how many. */
export async function act(admin: Admin, { action, targets, options, json }: Order): Promise<number> {
  const reports: ActionReport[] = [];
  for (const target of targets) reports.push(await admin.act(action, target, options));
  const done = reports.flatMap((report) => report.done);
  const refused = reports.flatMap((report) => report.refused);
  const recipients = reports.reduce((sum, report) => sum + report.recipients, 0);
  const isDry = options.dryRun === true;
  const what = isDry ? `would be ${DONE[action]}` : DONE[action];
  if (json) printJson({ done, refused, recipients, dryRun: isDry });
  else {
    for (let from = 0; from < done.length; from += TOGETHER) {
      print(...done.slice(from, from + TOGETHER).map((id) => `${id} ${what}`));
    }
    const isWide = targets.some((target) => !("id" in target));
    if (isWide && done.length === 0 && refused.length === 0) {
      print(targets.some((target) => "all" in target) ? "the queue is empty" : "nothing in the queue matches");
    } else if (isWide) print(`${counted(done.length, "message")} (${counted(recipients, "recipient")}) ${what}`);
  }
  for (const { id, reason } of refused) {
    complain(reason === "unknown" ? `${id}: no such message in the queue` : `${id}: in flight; try again in a moment`);
  }
  return refused.length === 0 ? EXIT.done : EXIT.failed;
}

function counted(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}

function checked<T>(parse: (text: string) => Result<T, string>): (text: string) => T {
  return (text) => {
    const parsed = parse(text);
    if (parsed.ok) return parsed.value;
    throw new InvalidArgumentError(`${parsed.error}.`);
  };
}

function senderOf(text: string): string {
  if (text === "<>" || /^[^@]*@[^@\s]+$|^".*"@[^@\s]+$/.test(text)) return text;
  throw new InvalidArgumentError("write a mailbox such as ann@example.org, @example.org, or <>.");
}

function viaOf(text: string) {
  if (text === "configuration") return null;
  const via = checked(parseVia)(text);
  if (via.kind === "mx") throw new InvalidArgumentError("write a host, or configuration.");
  return via;
}
