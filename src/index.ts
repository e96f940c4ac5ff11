/**
 * The package's front door: a whole Postern in one's own process. The parts stand behind the subpaths `postern/smtp`,
 * `postern/server`, `postern/client`, `postern/queue` and `postern/testing`. Only re-exports live here.
 */
export type { Log, Result } from "./base/index.ts";
export { type Config, type ConfigProblem, formatConfigProblem, loadConfig } from "./config/index.ts";
export { checkConfig, type Daemon, startDaemon } from "./daemon/index.ts";
export { type LogSettings, makeLog } from "./logging.ts";
