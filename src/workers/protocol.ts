// What is said between the supervisor and a worker, over the channel that Node makes for a child process.

/** To a worker. `start` comes first and once. */
export type Order<Task> =
  | { readonly kind: "start"; readonly task: Task }
  | { readonly kind: "reload"; readonly task: Task }
  | { readonly kind: "tell"; readonly question: number }
  | { readonly kind: "stop" };

/** From a worker: to `start` either of the first two, one each to `reload` and `tell`; a stop is answered by its end. */
export type Answer<Report, State> =
  | { readonly kind: "ready"; readonly report: Report }
  | { readonly kind: "failed"; readonly problems: readonly string[] }
  | { readonly kind: "reloaded"; readonly problems: readonly string[] }
  | { readonly kind: "told"; readonly question: number; readonly state: State | null };
