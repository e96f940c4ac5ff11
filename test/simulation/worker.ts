/*
 * One of the processes of a hunt. It is sent seeds, runs the world of each, and sends back what came of it. It ends with its parent.
 */
import { simulate } from "../../src/testing/index.ts";
import type { WorkerMessage, WorkerTask } from "./hunt.ts";

let present: number | null = null;

process.on("disconnect", () => process.exit(0));
// Ctrl-C is for the parent: it lets the worlds that run come to their end.
process.on("SIGINT", () => {});
process.on("unhandledRejection", (reason) => {
  const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
  void tell({ kind: "rejection", seed: present, text: text.split("\n").slice(0, 6).join(" | ") });
});
process.on("message", (message) => {
  if (isTask(message)) void work(message);
});

async function work({ seed, events, twice }: WorkerTask): Promise<void> {
  present = seed;
  const { hash, ...run } = await simulate({ seed, events });
  const unsteady = twice && (await simulate({ seed, events: 1 })).hash !== hash;
  present = null;
  await tell({ kind: "ran", ...run, unsteady });
}

function tell(message: WorkerMessage): Promise<void> {
  return new Promise((resolve) => void process.send?.(message, undefined, {}, () => resolve()));
}

function isTask(message: unknown): message is WorkerTask {
  return typeof message === "object" && message !== null && "seed" in message && "twice" in message;
}
