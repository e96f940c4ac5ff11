import { isDeepStrictEqual } from "node:util";
import type { Config } from "./model.ts";

/** A setting that a running daemon cannot change. */
interface Fixed {
  /** As it is written in the file: tables and key, with dots between. */
  readonly key: string;
  /** What of it a daemon is bound to. */
  of(config: Config): unknown;
  /** `next` with this setting as `running` has it. */
  keep(next: Config, running: Config): Config;
}

/** `put`: the configuration with this value in its place. */
function fixed<Value>(
  key: string,
  of: (config: Config) => Value,
  put: (config: Config, value: Value) => Config,
): Fixed {
  return { key, of, keep: (next, running) => put(next, of(running)) };
}

/** What a port is bound to; one such change keeps the whole list of ports. */
function ofListeners(key: "address" | "service" | "tls"): Fixed {
  return {
    key: `listener.${key}`,
    of: ({ listeners }) => listeners.map((listener) => listener[key]),
    keep: (next, { listeners }) => ({ ...next, listeners }),
  };
}

function ofWeb(key: "address" | "tls"): Fixed {
  return {
    key: `web.${key}`,
    of: ({ web }) => web.map((listener) => listener[key]),
    keep: (next, { web }) => ({ ...next, web }),
  };
}

const withDelivery = (config: Config, changes: Partial<Config["delivery"]>): Config => ({
  ...config,
  delivery: { ...config.delivery, ...changes },
});
const withMtaSts = (config: Config, changes: Partial<Config["mtaSts"]>): Config => ({
  ...config,
  mtaSts: { ...config.mtaSts, ...changes },
});
const withQueue = (config: Config, changes: Partial<Config["queue"]>): Config => ({
  ...config,
  queue: { ...config.queue, ...changes },
});
const withHistory = (config: Config, changes: Partial<Config["queue"]["history"]>): Config =>
  withQueue(config, { history: { ...config.queue.history, ...changes } });

/** What others default to the name stays with it. */
function keepHostname(next: Config, { hostname, tlsReport }: Config): Config {
  const mx = next.mtaSts.mx.map((host) => (host === next.hostname ? hostname : host));
  return { ...withMtaSts(next, { mx }), hostname, tlsReport };
}

/** Ports are open, files are open, threads and processes run. All that is not here a reload takes. */
const FIXED: readonly Fixed[] = [
  { key: "hostname", of: ({ hostname }) => hostname, keep: keepHostname },
  fixed(
    "data_dir",
    (of) => of.dataDir,
    (config, dataDir) => ({ ...config, dataDir }),
  ),
  fixed(
    "workers",
    (of) => of.workers,
    (config, workers) => ({ ...config, workers }),
  ),
  ofListeners("address"),
  ofListeners("service"),
  ofListeners("tls"),
  { key: "tls", of: ({ tls }) => tls === null, keep: (next, { tls }) => ({ ...next, tls }) },
  {
    key: "auth.source",
    of: ({ auth: { source } }) => ({ ...source, ca: null }),
    keep: (next, { auth: { source } }) => ({ ...next, auth: { ...next.auth, source } }),
  },
  fixed(
    "delivery.mta_sts",
    (of) => of.delivery.mtaSts,
    (config, mtaSts) => withDelivery(config, { mtaSts }),
  ),
  fixed(
    "delivery.downgrade_hold",
    (of) => of.delivery.downgradeHold,
    (config, downgradeHold) => withDelivery(config, { downgradeHold }),
  ),
  ofWeb("address"),
  ofWeb("tls"),
  fixed(
    "mta_sts.fetch_port",
    (of) => of.mtaSts.fetchPort,
    (config, fetchPort) => withMtaSts(config, { fetchPort }),
  ),
  fixed(
    "mta_sts.fetch_networks",
    (of) => of.mtaSts.fetchNetworks,
    (config, fetchNetworks) => withMtaSts(config, { fetchNetworks }),
  ),
  fixed(
    "tls_report",
    (of) => of.tlsReport,
    (config, tlsReport) => ({ ...config, tlsReport }),
  ),
  fixed(
    "limits.memory",
    (of) => of.limits.memory,
    (config, memory) => ({ ...config, limits: { ...config.limits, memory } }),
  ),
  fixed(
    "queue.concurrency",
    (of) => of.queue.concurrency,
    (config, concurrency) => withQueue(config, { concurrency }),
  ),
  fixed(
    "queue.destination_concurrency",
    (of) => of.queue.destinationConcurrency,
    (config, destinationConcurrency) => withQueue(config, { destinationConcurrency }),
  ),
  fixed(
    "queue.history",
    (of) => of.queue.history.age,
    (config, age) => withHistory(config, { age }),
  ),
  fixed(
    "queue.history_recipients",
    (of) => of.queue.history.recipients,
    (config, recipients) => withHistory(config, { recipients }),
  ),
  fixed(
    "log.format",
    (of) => of.log.format,
    (config, format) => ({ ...config, log: { ...config.log, format } }),
  ),
  fixed(
    "metrics",
    (of) => of.metrics,
    (config, metrics) => ({ ...config, metrics }),
  ),
];

/** The keys that only a restart changes, in the order of the reference page; a whole table where all of it is meant. */
export const RESTART_KEYS: readonly string[] = FIXED.map(({ key }) => key);

/** What comes of a changed file while a daemon runs. */
export interface Taken {
  /** What is in force from now on: the new file, but for what only a restart changes. */
  readonly config: Config;
  /** Of `RESTART_KEYS` those that the new file has otherwise. */
  readonly restart: readonly string[];
}

/** What a daemon that runs on `running` can take of `next`, which is a whole configuration and checked. */
export function takeWhileRunning(running: Config, next: Config): Taken {
  let config = next;
  const restart: string[] = [];
  for (const { key, of, keep } of FIXED) {
    if (isDeepStrictEqual(of(running), of(config))) continue;
    restart.push(key);
    config = keep(config, running);
  }
  return { config, restart };
}
