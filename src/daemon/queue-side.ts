// The half of a daemon behind the queue: how a configuration has mail carried to where it goes, and reported on.
import { isDeepStrictEqual } from "node:util";
import type { Log } from "../base/index.ts";
import { createPool, type Pool } from "../client/index.ts";
import type { Config } from "../config/index.ts";
import { createDeliverer, createReporter, selfTest } from "../delivery/index.ts";
import { createRunner, defaultRunnerLimits, type OperableStore, type QueueStore, type Runner } from "../queue/index.ts";
import { burdensOf, hostLoads, retryExceptions, retryRule } from "./burdens.ts";
import type { FormerQueues } from "./former-queues.ts";
import type { NextHops } from "./next-hops.ts";
import { changingResolver } from "./resolver.ts";
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

export interface QueueSide {
  readonly runner: Runner;
  readonly pool: Pool;
  /** Begins to deliver. */
  start(): void;
  /** From the next delivery on, by these rules, and with what their files hold. */
  renew(config: Config, nextHops: NextHops): void;
}

/** Everything behind the waist: from the due message to its outcome, and the reports on the connections that it took. */
export function createQueueSide(
  { config, share, store, former, trust, nextHops, on, log }: QueueParts,
  resources: AsyncDisposableStack,
): QueueSide {
  // A lookup that nobody waits for any more would keep the process for the rest of its timeouts.
  const { clock, random, connect, upgrade, stsFetch } = on;
  const lookups = new AbortController();
  resources.defer(() => lookups.abort());
  let now = { config, burdens: burdensOf(config), ca: nextHops.trusted, resolver: on.resolver(config, lookups.signal) };
  const resolver = changingResolver(() => now.resolver);
  const ca = (): typeof now.ca => now.ca;
  const sts = config.delivery.mtaSts
    ? findStsPolicies({ config, refresh: share.worker === 1, file: trust.file, resolver, ca, stsFetch, clock, log })
    : null;
  resources.defer(() => sts?.close());
  // As many as may be in use at once: after a common commit they all come back together, and the next deliveries want them all again.
  const pool = createPool({ clock, maxIdlePerKey: config.queue.destinationConcurrency });
  resources.defer(() => pool.close());
  const deliverer = createDeliverer({
    hostname: config.hostname,
    ...deliveryRules(config, nextHops),
    ...(sts === null ? {} : { sts }),
    memory: trust.memory,
    results: trust.results,
    loads: hostLoads({ burdens: () => now.burdens, queue: () => now.config.queue }, { clock, random }),
    resolver,
    pool,
    connect,
    upgrade,
    clock,
    random,
    log,
    isSelf: selfTest(config.listeners.map(({ address }) => address)),
  });
  const carrier = on.around(deliverer);
  const runners: Runner[] = [];
  const runnerOf = (of: QueueStore, limits: { readonly total: number; readonly memory: number }): Runner => {
    const made = createRunner({
      store: of,
      deliverer: carrier,
      reporter: createReporter({
        hostname: config.hostname,
        clock,
        nextId: () => of.nextId(),
        lifetime: () => now.config.queue.giveUpAfter,
        log,
      }),
      clock,
      random,
      log,
      ...retryRules(now.config),
      limits: { ...on.windows, ...limits, ...destinationWindows(config, share) },
      limitOf: (destination) => now.burdens.domain(destination),
    });
    runners.push(made);
    return made;
  };
  const runner = runnerOf(store, { total: former.deliveriesLeft, memory: config.limits.memory });
  resources.defer(async () => {
    const { stop: grace } = now.config.timeouts;
    await Promise.all([runner.stop(grace), former.stop(grace)]);
  });
  if (config.tlsReport.send && share.worker === 1) {
    const reports = createTlsReporting({ config, trust, resolver, store, runner, ca, clock, random, log });
    resources.defer(() => reports.close());
    reports.start();
  }
  const start = (): void => {
    runner.start();
    former.start((of, total) => runnerOf(of, { total, memory: 0 }));
  };
  const renew = (next: Config, hops: NextHops): void => {
    const { config: before } = now;
    const asked = isDeepStrictEqual(before.dns, next.dns) ? now.resolver : on.resolver(next, lookups.signal);
    now = { config: next, burdens: burdensOf(next), ca: hops.trusted, resolver: asked };
    deliverer.renew(deliveryRules(next, hops));
    for (const each of runners) each.renew(retryRules(next));
    // What was wrong may be mended: nothing waits for the end of a pause that the rules before led to.
    if (!isDeepStrictEqual(before, next)) for (const each of runners) each.poke();
  };
  return { runner, pool, start, renew };
}

function deliveryRules({ domains, delivery, timeouts }: Config, { routes, extraCa }: NextHops) {
  return {
    domains,
    routes,
    port: delivery.port,
    ca: extraCa,
    dane: delivery.dane,
    clearTextAfterTlsFailure: delivery.afterTlsFailure === "clear",
    tlsResumption: delivery.tlsResumption,
    eightBit: delivery.eightBit,
    chunking: delivery.chunking,
    timeouts: { bodyRate: delivery.leastRate },
    connectTimeout: timeouts.connect,
    handshakeTimeout: timeouts.handshake,
  };
}

function retryRules(config: Config) {
  return { rules: retryRule(config), exceptions: retryExceptions(config) };
}

/** What a destination is spared counts for all workers together. */
function destinationWindows({ queue }: Config, { workers }: WorkerShare) {
  const destinationMost = queue.destinationConcurrency;
  const destinationStart = Math.min(Math.ceil(defaultRunnerLimits.destinationStart / workers), destinationMost);
  return { destinationStart, destinationMost };
}
