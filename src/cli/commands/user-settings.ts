import type { Command } from "commander";
import { parseUserLimit, USER_LIMITS } from "../../config/index.ts";
import type { Users } from "../../daemon/index.ts";
import { configOption } from "../configuration.ts";
import { complain, EXIT, print, printJson } from "../terminal.ts";
import { conclude, withUsers } from "../user-access.ts";
import { userView } from "../user-text.ts";

type View = ReturnType<typeof userView>;

/** What a user has besides a name and a password: aliases, limits, app passwords. */
export function addUserSettings(user: Command): void {
  addAlias(user);
  addLimit(user);
  addAppPassword(user);
}

function addAlias(user: Command): void {
  const alias = user
    .command("alias")
    .summary("what a user may send as besides the own addresses")
    .description(
      "What a user may send as besides the own addresses: ann@example.org, @example.org for a whole domain, or '*'. Which mail a " +
        "mailbox receives is not changed by it.",
    );
  for (const [word, done] of [
    ["add", "may send as"],
    ["remove", "may no longer send as"],
  ] as const) {
    alias
      .command(word)
      .argument("<name>", "the name of the user")
      .argument("<address>", "an address, @ and a domain, or '*'")
      .addOption(configOption())
      .action(async (name: string, address: string, options: { config: string }) => {
        await withUsers(options.config, async (users) => {
          const changed = word === "add" ? await users.addGrant(name, address) : await users.removeGrant(name, address);
          return conclude(`user alias ${word}`, changed, () => `${name} ${done} ${address}`);
        });
      });
  }
  alias
    .command("list")
    .argument("<name>", "the name of the user")
    .option("--json", "as a JSON array")
    .addOption(configOption())
    .action(async (name: string, options: { config: string; json?: true }) => {
      await show("user alias list", name, options, ({ aliases }) => [aliases, aliases]);
    });
}

function addLimit(user: Command): void {
  user
    .command("limit")
    .argument("<name>", "the name of the user")
    .argument("[limits...]", "KEY=VALUE; the value 'none' is no limit, 'default' is what the configuration says")
    .description("Sets how much a user may send, in place of [submission.limits]; without KEY=VALUE shows what is set.")
    .option("--json", "show as a JSON object")
    .addOption(configOption())
    .addHelpText(
      "after",
      `\nKeys: ${USER_LIMITS.join(", ")}\n\nExample:\n  postern user limit ann messages_per_hour=500 message_size='10 MiB'`,
    )
    .action(async (name: string, written: readonly string[], options: { config: string; json?: true }) => {
      if (written.length === 0) {
        await show("user limit", name, options, ({ limits }) => [
          limits,
          Object.entries(limits).map(([limit, value]) => `${limit}=${value === 0 ? "none" : value}`),
        ]);
        return;
      }
      const limits = written.map(parseUserLimit);
      const wrong = limits.find((each) => !each.ok);
      if (wrong !== undefined && !wrong.ok) {
        complain(`user limit: ${wrong.error}`);
        process.exitCode = EXIT.usage;
        return;
      }
      const parsed = limits.flatMap((each) => (each.ok ? [each.value] : []));
      await withUsers(options.config, async (users) =>
        conclude("user limit", await users.setLimits(name, parsed), () => `${name}: ${written.join(", ")}`),
      );
    });
}

function addAppPassword(user: Command): void {
  const password = user
    .command("app-password")
    .summary("passwords of a user's devices")
    .description(
      "Passwords that a user has for single programs or devices, each made at random and removed by itself. They log in by PLAIN and LOGIN.",
    );
  password
    .command("add")
    .argument("<name>", "the name of the user")
    .argument("<label>", "what it is for, such as 'phone'")
    .description("Makes an app password, and prints it: it is shown this once.")
    .addOption(configOption())
    .action(async (name: string, label: string, options: { config: string }) => {
      await withUsers(options.config, async (users) =>
        conclude("user app-password add", await users.addAppPassword(name, label), (made) => made),
      );
    });
  password
    .command("remove")
    .argument("<name>", "the name of the user")
    .argument("<label>", "as it was added")
    .addOption(configOption())
    .action(async (name: string, label: string, options: { config: string }) => {
      await withUsers(options.config, async (users) =>
        conclude("user app-password remove", await users.removeAppPassword(name, label), () => `${label} is removed`),
      );
    });
  password
    .command("list")
    .argument("<name>", "the name of the user")
    .option("--json", "as a JSON array")
    .addOption(configOption())
    .action(async (name: string, options: { config: string; json?: true }) => {
      await show("user app-password list", name, options, ({ appPasswords }) => [
        appPasswords,
        appPasswords.map(
          (each) => `${each.name}: added ${each.added}, ${each.used ? `used ${each.used}` : "never used"}`,
        ),
      ]);
    });
}

/** Prints one thing of one user: its value as JSON, or its lines. */
async function show(
  command: string,
  name: string,
  options: { readonly config: string; readonly json?: true },
  pick: (view: View) => readonly [json: unknown, lines: readonly string[]],
): Promise<void> {
  await withUsers(options.config, async (users: Users) => {
    const found = await users.find(name);
    if (!found.ok) {
      complain(`${command}: ${found.error}`);
      return EXIT.failed;
    }
    const [json, lines] = pick(userView(found.value));
    if (options.json === true) printJson(json);
    else if (lines.length > 0) print(...lines);
    return EXIT.done;
  });
}
