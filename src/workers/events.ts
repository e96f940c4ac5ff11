/** Names of the log events of this folder; they are an interface. */
export const events = {
  started: "worker.started",
  died: "worker.died",
  refused: "worker.refused",
  killed: "worker.killed",
} as const;
