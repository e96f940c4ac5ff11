/**
 * The composition root: a configuration made into a running Postern, and into what the command line does beside one. It is the one
 * folder that knows every concrete part, and only ties them: what parses, decides or speaks to anybody belongs to the folder that it
 * is about, and nobody but `cli`, the package's `src/index.ts`, `testing` and tests may import from here. Begin with `daemon.ts`, which opens
 * what `composition.ts` ties; `surroundings.ts` is the machine under it, or a simulated one. `worker.ts` is what a process of
 * several is started with.
 *
 * This door opens onto the whole daemon. Commands that need little of it take its types from here and load their one file of
 * this folder when they run (`await import("../../daemon/probe.ts")`): that takes two thirds of the time, or less.
 */
export { checkConfig } from "./checks.ts";
export { type Daemon, startDaemon } from "./daemon.ts";
export type { DemandReport, ExplainReport, HopReport, LookupReport, TryReport } from "./explain.ts";
export type { Check, HostReport, ProbeReport, ShownCertificate, Support } from "./probe.ts";
export { startPulse } from "./pulse.ts";
export type { RecordReport, RecordsReport } from "./records.ts";
export { openUsers, type Users, writeSelfSignedCertificate } from "./setup.ts";
export type { Trust } from "./trust.ts";
export { startWorkers, workerCount } from "./workers.ts";
