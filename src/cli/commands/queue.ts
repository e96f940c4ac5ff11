import { type Command, InvalidArgumentError } from "commander";
import { ACTIONS, type Action, type Admin, AdminError, MAX_LIST, openAdmin } from "../../admin/index.ts";
import { configOption, readConfig } from "../configuration.ts";
import { type ActionSettings, act, addTargets, orderOf } from "../queue-order.ts";
import { countLines, historyLines, messageLines, queueTable } from "../queue-text.ts";
import { complain, EXIT, jsonArray, print, printJson } from "../terminal.ts";

interface ListOptions {
  readonly config: string;
  readonly json?: true;
  readonly limit: number;
  readonly after?: string;
  readonly address?: string;
}

interface HistoryOptions {
  readonly config: string;
  readonly json?: true;
  readonly limit: number;
}

const ACTION_TEXTS: Record<Action, string> = {
  retry: "Makes waiting recipients due now.",
  hold: "Keeps messages from being delivered until released. They expire all the same. Messages are held whole.",
  release: "Ends a hold.",
  remove: "Deletes messages, or the recipients that match, without a report to the sender, unless they are in flight.",
  reroute:
    "Sends waiting recipients to another next hop than the configured one, from now on and until they are rerouted again, and makes " +
    "them due now. What their messages demand by REQUIRETLS counts as ever.",
};

export function addQueue(program: Command): void {
  const queue = program
    .command("queue")
    .summary("look into the queue and change it")
    .description("The queue of a running server, or of a stopped one.")
    .addHelpText(
      "after",
      "\nExamples:\n  postern queue list --json\n  postern queue retry --all\n" +
        "  postern queue remove --domain example.org --older-than 2d --dry-run\n" +
        "  postern queue reroute --domain example.org --reply none --via smtp://backup.example.net --tls verified",
    );
  queue
    .command("list")
    .description("Lists messages, oldest first.")
    .option("--json", "as a JSON array")
    .option("--limit <count>", "at most this many messages", limitOf, 100)
    .option("--after <id>", "only messages after this one")
    .option("--address <address>", "only with this sender or recipient: a mailbox, or @domain")
    .addOption(configOption())
    .action(async (options: ListOptions) => {
      process.exitCode = await withAdmin(options.config, (admin) => list(admin, options));
    });
  queue
    .command("count")
    .description("Tells how much is in the queue, of all workers together.")
    .option("--json", "as a JSON object")
    .addOption(configOption())
    .action(async (options: { config: string; json?: true }) => {
      process.exitCode = await withAdmin(options.config, (admin) => count(admin, options.json === true));
    });
  queue
    .command("show")
    .argument("<id>", "the message's id")
    .description("Tells the story of a message so far.")
    .option("--json", "as a JSON object")
    .addOption(configOption())
    .action(async (id: string, options: { config: string; json?: true }) => {
      process.exitCode = await withAdmin(options.config, (admin) => show(admin, id, options.json === true));
    });
  queue
    .command("history")
    .argument("[message]", "a message's id, or a sender or recipient: a mailbox, or @domain")
    .description(
      "Tells what became of recipients: when, at which host, and what the connection had to prove. The last first.",
    )
    .option("--json", "as a JSON array")
    .option("--limit <count>", "at most this many recipients", historyLimitOf, 20)
    .addOption(configOption())
    .action(async (of: string | undefined, options: HistoryOptions, command: Command) => {
      if (of !== undefined && !/^[0-9a-z]{11}$|@/i.test(of.trim()))
        command.error(`error: ${of} is neither a message's id nor an address`, { exitCode: EXIT.usage });
      process.exitCode = await withAdmin(options.config, (admin) => history(admin, of, options));
    });
  for (const action of ACTIONS) addAction(queue, action);
}

function addAction(queue: Command, action: Action): void {
  const command = queue.command(action).argument("[id...]", "the messages' ids").description(ACTION_TEXTS[action]);
  addTargets(command, action)
    .addOption(configOption())
    .action(async (ids: readonly string[], options: ActionSettings, self: Command) => {
      const order = orderOf(action, ids, options);
      if (!order.ok) self.error(`error: ${order.error}`, { exitCode: EXIT.usage });
      else process.exitCode = await withAdmin(options.config, (admin) => act(admin, order.value));
    });
}

async function withAdmin(file: string, run: (admin: Admin) => Promise<number>): Promise<number> {
  const config = readConfig(file);
  if (config === null) return EXIT.failed;
  const opened = await openAdmin(config);
  if (!opened.ok) {
    complain(opened.error);
    return EXIT.failed;
  }
  try {
    return await run(opened.value);
  } catch (cause) {
    if (!(cause instanceof AdminError)) throw cause;
    complain(cause.message);
    return EXIT.failed;
  } finally {
    await opened.value.close();
  }
}

/** Prints page by page, for there may be a million messages; one more than `limit` tells whether there are others. */
async function list(admin: Admin, { limit, after, address, json }: ListOptions): Promise<number> {
  const array = json === true ? jsonArray() : null;
  const linesOf = queueTable(Date.now());
  let left = limit;
  let last = after;
  while (left > 0) {
    const page = await admin.list({ limit: Math.min(left, MAX_LIST), after: last, address });
    if (page.length === 0) break;
    if (array === null) print(...linesOf(page));
    else array.add(page);
    left -= page.length;
    last = page.at(-1)?.id;
  }
  array?.end();
  if (array === null && left === limit)
    print(address === undefined ? "the queue is empty" : "nothing in the queue matches");
  const isMore = left === 0 && (await admin.list({ limit: 1, after: last, address })).length > 0;
  if (isMore) complain(`there are more; go on with --after ${last}, or raise --limit`);
  return EXIT.done;
}

async function show(admin: Admin, id: string, json: boolean): Promise<number> {
  const message = await admin.show(id);
  if (message === null) {
    const [over] = await admin.history({ limit: 1, of: id });
    const hint =
      over === undefined
        ? "'postern queue list' shows what there is"
        : `'postern queue history ${id}' tells how it ended`;
    complain(`there is no message ${id} in the queue; ${hint}`);
    return EXIT.failed;
  }
  if (json) printJson(message);
  else print(...messageLines(message));
  return EXIT.done;
}

async function count(admin: Admin, json: boolean): Promise<number> {
  const counts = await admin.counts();
  if (json) printJson(counts);
  else print(...countLines(counts));
  return EXIT.done;
}

async function history(admin: Admin, of: string | undefined, { limit, json }: HistoryOptions): Promise<number> {
  const finished = await admin.history({ limit, of });
  if (json === true) printJson(finished);
  else print(...historyLines(finished));
  return EXIT.done;
}

function historyLimitOf(text: string): number {
  const limit = limitOf(text);
  if (limit > MAX_LIST) throw new InvalidArgumentError(`write a whole number up to ${MAX_LIST}.`);
  return limit;
}

function limitOf(text: string): number {
  const limit = Number(text);
  if (!/^\d{1,9}$/.test(text) || limit < 1) throw new InvalidArgumentError("write a whole number from 1.");
  return limit;
}
