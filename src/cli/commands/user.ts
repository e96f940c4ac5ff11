import type { Command } from "commander";
import type { Config } from "../../config/index.ts";
import { configOption, readConfig } from "../configuration.ts";
import { complain, EXIT, print, printJson, readInput, splitPassword } from "../terminal.ts";

export function addUser(program: Command): void {
  const user = program
    .command("user")
    .summary("add, list and remove users who may submit mail")
    .description("Users who may submit mail. A running server knows of a change at once.");
  user
    .command("add")
    .argument("<name>", "the name to log in with")
    .description("Adds a user. The password is the first line of standard input.")
    .requiredOption("--password-stdin", "read the password from standard input")
    .addOption(configOption())
    .addHelpText("after", "\nExample:\n  printf '%s\\n' 'correct horse' | postern user add alice --password-stdin")
    .action(async (name: string, options: { config: string }) => {
      process.exitCode = await withConfig(options.config, (config) => add(config, name));
    });
  user
    .command("list")
    .description("Lists the names of all users.")
    .option("--json", "as a JSON array")
    .addOption(configOption())
    .action(async (options: { config: string; json?: true }) => {
      process.exitCode = await withConfig(options.config, (config) => list(config, options.json === true));
    });
  user
    .command("remove")
    .argument("<name>", "the name of the user")
    .description("Removes a user.")
    .addOption(configOption())
    .action(async (name: string, options: { config: string }) => {
      process.exitCode = await withConfig(options.config, (config) => remove(config, name));
    });
}

async function withConfig(file: string, run: (config: Config) => Promise<number>): Promise<number> {
  const config = readConfig(file);
  return config === null ? EXIT.failed : run(config);
}

async function users(config: Config) {
  const { openUsers } = await import("../../daemon.ts");
  return openUsers(config);
}

async function add(config: Config, name: string): Promise<number> {
  const { password } = splitPassword(await readInput());
  if (password === "") {
    complain("user add: the first line of standard input is empty; write the password there");
    return EXIT.failed;
  }
  const added = await (await users(config)).add(name, password);
  if (!added.ok) {
    complain(`user add: ${added.error}`);
    return EXIT.failed;
  }
  print(`${name} may submit mail now`);
  return EXIT.done;
}

async function list(config: Config, json: boolean): Promise<number> {
  const names = await (await users(config)).list();
  if (json) printJson(names);
  else if (names.length > 0) print(...names);
  return EXIT.done;
}

async function remove(config: Config, name: string): Promise<number> {
  if (await (await users(config)).remove(name)) {
    print(`${name} is removed`);
    return EXIT.done;
  }
  complain(`user remove: there is no user ${name}; 'postern user list' shows all`);
  return EXIT.failed;
}
