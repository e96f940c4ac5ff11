// The half of a daemon behind the queue: how a configuration has mail carried to where it goes, and reported on.
import type { Log } from "../base/index.ts";
import { createPool, type Pool } from "../client/index.ts";
import type { Config } from "../config/index.ts";
import { createDeliverer, createReporter, selfTest } from "../delivery/index.ts";
import { createRunner, defaultRunnerLimits, type OperableStore, type QueueStore, type Runner } from "../queue/index.ts";
import { domainLimits, hostLoads, retryExceptions, retryRule } from "./burdens.ts";
import type { FormerQueues } from "./former-queues.ts";
import type { NextHops } from "./next-hops.ts";
import type { WorkerShare } from "./share.ts";
import { findStsPolicies } from "./sts.ts";
import type { Surroundings } from "./surroundings.ts";
import { createTlsReporting, type Trust } from "./trust.ts";

/** What the half behind the queue is made of; the caller closes what is open here. */
export interface QueueParts {
  readonly config: Config;
  readonly share: WorkerShare;
  readonly store: OperableStore;
  readonly former: FormerQueues;
  readonly trust: Trust;
  readonly nextHops: NextHops;
  readonly on: Surroundings;
  readonly log: Log;
}

/** Everything behind the waist: from the due message to its outcome, and the reports on the connections that it took. */
export function createQueueSide(
  { config, share, store, former, trust, nextHops, on, log }: QueueParts,
  resources: AsyncDisposableStack,
): { readonly runner: Runner; readonly pool: Pool; start(): void; renew(nextHops: NextHops): void } {
  // A lookup that nobody waits for any more would keep the process for the rest of its timeouts.
  const { clock, random, connect, upgrade, stsFetch } = on;
  const lookups = new AbortController();
  resources.defer(() => lookups.abort());
  const resolver = on.resolver(config, lookups.signal);
  let { trusted } = nextHops;
  const ca = (): typeof trusted => trusted;
  const sts = config.delivery.mtaSts
    ? findStsPolicies({ config, refresh: share.worker === 1, file: trust.file, resolver, ca, stsFetch, clock, log })
    : null;
  resources.defer(() => sts?.close());
  // As many as may be in use at once: after a common commit they all come back together, and the next deliveries want them all again.
  const pool = createPool({ clock, maxIdlePerKey: config.queue.destinationConcurrency });
  resources.defer(() => pool.close());
  const deliverer = createDeliverer({
    hostname: config.hostname,
    domains: config.domains,
    routes: nextHops.routes,
    port: config.delivery.port,
    ca: nextHops.extraCa,
    dane: config.delivery.dane,
    ...(sts === null ? {} : { sts }),
    memory: trust.memory,
    results: trust.results,
    loads: hostLoads(config, { clock, random }),
    clearTextAfterTlsFailure: config.delivery.afterTlsFailure === "clear",
    tlsResumption: config.delivery.tlsResumption,
    eightBit: config.delivery.eightBit,
    chunking: config.delivery.chunking,
    resolver,
    pool,
    connect,
    upgrade,
    clock,
    random,
    log,
    isSelf: selfTest(config.listeners.map(({ address }) => address)),
    connectTimeout: config.timeouts.connect,
    handshakeTimeout: config.timeouts.handshake,
  });
  const carrier = on.around(deliverer);
  const runnerOf = (of: QueueStore, limits: { readonly total: number; readonly memory: number }) =>
    createRunner({
      store: of,
      deliverer: carrier,
      reporter: createReporter({
        hostname: config.hostname,
        clock,
        nextId: () => of.nextId(),
        lifetime: config.queue.giveUpAfter,
        log,
      }),
      clock,
      random,
      log,
      rules: retryRule(config),
      exceptions: retryExceptions(config),
      limits: { ...on.windows, ...limits, ...destinationWindows(config, share) },
      limitOf: domainLimits(config),
    });
  const runner = runnerOf(store, { total: former.deliveriesLeft, memory: config.limits.memory });
  const { stop: grace } = config.timeouts;
  resources.defer(() => Promise.all([runner.stop(grace), former.stop(grace)]).then(() => {}));
  if (config.tlsReport.send && share.worker === 1) {
    const reports = createTlsReporting({ config, trust, resolver, store, runner, ca, clock, random, log });
    resources.defer(() => reports.close());
    reports.start();
  }
  const start = (): void => {
    runner.start();
    former.start((of, total) => runnerOf(of, { total, memory: 0 }));
  };
  const renew = (next: NextHops): void => {
    trusted = next.trusted;
    deliverer.renew({ routes: next.routes, ca: next.extraCa });
  };
  return { runner, pool, start, renew };
}

/** What a destination is spared counts for all workers together. */
function destinationWindows({ queue }: Config, { workers }: WorkerShare) {
  const destinationMost = queue.destinationConcurrency;
  const destinationStart = Math.min(Math.ceil(defaultRunnerLimits.destinationStart / workers), destinationMost);
  return { destinationStart, destinationMost };
}
