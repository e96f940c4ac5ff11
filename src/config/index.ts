/**
 * The configuration file: what may stand in it, and what came of one. Only reading and checking live here; nothing is opened,
 * connected to or created. Begin with `schema.ts`, from which types, defaults, help, the JSON Schema and the reference page
 * come, then `load.ts`.
 */
export {
  controlSocketFile,
  isThere,
  queueFile,
  sendingFile,
  trustFile,
  usersFile,
  workerFolder,
  workerQueueFile,
  workersWithQueue,
} from "./files.ts";
export { configLine } from "./line.ts";
export { loadConfig, parseConfig } from "./load.ts";
export type {
  AuthConfig,
  Config,
  Endpoint,
  KeyPairFiles,
  LimitConfig,
  LimitsConfig,
  ListenerTls,
  LocalDelivery,
  LogConfig,
  OauthConfig,
  PeerConfig,
  QueueConfig,
  RetryConfig,
  Service,
  TimeoutsConfig,
  TlsLevel,
  TlsReportConfig,
  Via,
} from "./model.ts";
export { type ConfigProblem, formatConfigProblem } from "./problems.ts";
export { parseReplyPattern } from "./queueing.ts";
export { configJsonSchema, configReference } from "./reference.ts";
export { type Taken, takeWhileRunning } from "./restart.ts";
export { parseUserLimit, USER_LIMITS, type UserLimit } from "./sending-limits.ts";
export { parseDuration, parseMatch, parseVia, splitHostPort } from "./values.ts";
