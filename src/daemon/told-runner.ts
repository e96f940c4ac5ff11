// What an operator does to a queue, told to the runner that has part of it in memory.
import type { AdminOperations } from "../admin/index.ts";
import { parseQueueId, type Runner } from "../queue/index.ts";

/**
 * Operations on a queue beside its runner: mail that was held or rerouted is let go of where it waits in memory for its turn, so that the
 * change counts for all but what is being delivered.
 */
export function toldRunner(
  operations: AdminOperations,
  runner: () => Pick<Runner, "withdraw"> | null | undefined,
): AdminOperations {
  return {
    ...operations,
    async act(action, target, options) {
      const report = await operations.act(action, target, options);
      if ((action !== "hold" && action !== "reroute") || options?.dryRun === true) return report;
      for (const text of report.done) {
        const id = parseQueueId(text);
        if (id !== null) runner()?.withdraw(id);
      }
      return report;
    },
  };
}
