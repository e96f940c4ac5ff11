/**
 * The waist of the house: the life of a message and its recipients, the stores that keep them, and the runner that sees them
 * through. Nothing here may know how mail came in or how it is carried away; those are ports (`deliverer.ts`). Begin with
 * `model.ts` and `store.ts`; then `runner.ts` for what happens in time, and `sqlite/store.ts` for what is written.
 */
export * from "./deliverer.ts";
export type { HistoryBounds } from "./history.ts";
export { type Limit, type LimitRule, limitOf, matchesName, noLimit } from "./limit.ts";
export { createMemoryStore } from "./memory-store.ts";
export * from "./model.ts";
export { formatQueueId, parseQueueId, queueIdInstant } from "./queue-id.ts";
export type { ReportAction, ReportItem } from "./report-duty.ts";
export {
  attemptTimes,
  defaultRetryRule,
  isReplyPattern,
  nextAttempt,
  type RetryException,
  type RetryRule,
  retryRulesFor,
} from "./retry.ts";
export { createRunner, type Runner, type RunnerOptions, type RunnerStats } from "./runner.ts";
export { defaultRunnerLimits, type RunnerLimits } from "./runner-limits.ts";
export {
  type Alteration,
  formatOverride,
  type QueueFilter,
  type SelectedMessage,
  type Selection,
  type SelectQuery,
} from "./selection.ts";
export type { StoreWatch } from "./sqlite/channel.ts";
export { openSqliteStore, type SqliteStoreOptions } from "./sqlite/store.ts";
export * from "./store.ts";
export { deliverByTime, expiryTime, releaseTime, remainingTerm } from "./terms.ts";
