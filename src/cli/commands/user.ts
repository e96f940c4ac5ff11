import type { Command } from "commander";
import { configOption } from "../configuration.ts";
import { complain, EXIT, print, printJson } from "../terminal.ts";
import { conclude, readPassword, withUsers } from "../user-access.ts";
import { userLines, userView } from "../user-text.ts";
import { addUserSettings } from "./user-settings.ts";

export function addUser(program: Command): void {
  const user = program
    .command("user")
    .summary("add, list and remove users who may submit mail, and say what they may")
    .description("Users who may submit mail. A running server knows of a change at once.");
  addList(user);
  addPasswordCommands(user);
  user
    .command("remove")
    .argument("<name>", "the name of the user")
    .description("Removes a user, with aliases, limits and app passwords.")
    .addOption(configOption())
    .action(async (name: string, options: { config: string }) => {
      await withUsers(options.config, async (users) => {
        if (await users.remove(name)) {
          print(`${name} is removed`);
          return EXIT.done;
        }
        complain(`user remove: there is no user ${name}; 'postern user list' shows all`);
        return EXIT.failed;
      });
    });
  for (const [word, disabled] of [
    ["disable", true],
    ["enable", false],
  ] as const) {
    user
      .command(word)
      .argument("<name>", "the name of the user")
      .description(disabled ? "Bars a user from login and sending; nothing is lost." : "Lets a disabled user in again.")
      .addOption(configOption())
      .action(async (name: string, options: { config: string }) => {
        await withUsers(options.config, async (users) =>
          conclude(`user ${word}`, await users.setDisabled(name, disabled), () => `${name} is ${word}d`),
        );
      });
  }
  addUserSettings(user);
}

function addPasswordCommands(user: Command): void {
  user
    .command("add")
    .argument("<name>", "the name to log in with")
    .description("Adds a user. The password is the first line of standard input.")
    .requiredOption("--password-stdin", "read the password from standard input")
    .addOption(configOption())
    .addHelpText("after", "\nExample:\n  printf '%s\\n' 'correct horse' | postern user add alice --password-stdin")
    .action(async (name: string, options: { config: string }) => {
      await withUsers(options.config, async (users) => {
        const password = await readPassword("user add");
        if (password === null) return EXIT.failed;
        return conclude("user add", await users.add(name, password), () => `${name} may submit mail now`);
      });
    });
  user
    .command("passwd")
    .argument("<name>", "the name of the user")
    .description("Changes a user's password to the first line of standard input. App passwords stay.")
    .requiredOption("--password-stdin", "read the password from standard input")
    .addOption(configOption())
    .action(async (name: string, options: { config: string }) => {
      await withUsers(options.config, async (users) => {
        const password = await readPassword("user passwd");
        if (password === null) return EXIT.failed;
        return conclude("user passwd", await users.changePassword(name, password), () => `${name} has a new password`);
      });
    });
}

function addList(user: Command): void {
  user
    .command("list")
    .description("Lists all users.")
    .option("--long", "with what is kept of each: aliases, limits, app passwords")
    .option("--json", "as JSON: an array of names, or with --long of objects")
    .addOption(configOption())
    .action(async (options: { config: string; long?: true; json?: true }) => {
      await withUsers(options.config, async (users) => {
        if (options.long === true) {
          const summaries = await users.summaries();
          if (options.json === true) printJson(summaries.map(userView));
          else if (summaries.length > 0) print(...summaries.flatMap(userLines));
          return EXIT.done;
        }
        const names = await users.list();
        if (options.json === true) printJson(names);
        else if (names.length > 0) print(...names);
        return EXIT.done;
      });
    });
}
