import type { Command } from "commander";

export function addDemo(program: Command): void {
  program
    .command("demo")
    .summary("watch a message travel between two servers")
    .description(
      "Starts two servers on free loopback ports in a temporary folder, submits a message to the first over STARTTLS with a " +
        "login, lets it relay to the second over STARTTLS, and shows what is in the Maildir. Ends by itself and leaves nothing.",
    )
    .action(async () => {
      const { play } = await import("../demo.ts");
      process.exitCode = await play();
    });
}
