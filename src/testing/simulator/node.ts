import { DatabaseSync } from "node:sqlite";
import { type Duration, type Instant, later, type Random } from "../../base/index.ts";
import type { Config } from "../../config/index.ts";
import { type Composition, compose } from "../../daemon/composition.ts";
import type { FormerQueues } from "../../daemon/former-queues.ts";
import { loadNextHops, type NextHops } from "../../daemon/next-hops.ts";
import { alone } from "../../daemon/share.ts";
import type { Surroundings } from "../../daemon/surroundings.ts";
import { trustIn } from "../../daemon/trust.ts";
import type { Resolver } from "../../net/index.ts";
import type { Deliverer, QueueStore } from "../../queue/index.ts";
import type { StsFetch } from "../../trust/index.ts";
import { type NodeSettings, readConfiguration } from "./configuration.ts";
import type { SimulatedDisk } from "./disk.ts";
import type { Ledger } from "./ledger.ts";
import type { Cut } from "./link.ts";
import { clockOf, Life, type VirtualLoop } from "./loop.ts";
import type { SimulatedNetwork } from "./network.ts";
import { watchReplies } from "./reply-watch.ts";
import { type SimulatedServerTls, simulatedClientUpgrade, simulatedServerUpgrade } from "./tls.ts";
import type { Trace } from "./trace.ts";
import { simulatedUsers } from "./users.ts";

/** What a node stands on. */
export interface NodeWorld {
  readonly loop: VirtualLoop;
  readonly network: SimulatedNetwork;
  readonly ledger: Ledger;
  readonly trace: Trace;
  /** How wrong the node's clock is, milliseconds. */
  readonly skew: () => Duration;
  readonly resolver: (life: Life, signal: AbortSignal) => Resolver;
  /** MTA-STS policies, from their hosts. */
  readonly stsFetch: (life: Life) => StsFetch;
  readonly tls: SimulatedServerTls;
  /** Octets free on the disk. */
  readonly freeSpace: () => number;
  readonly random: () => Random;
}

/** A program that runs on a node until it stops or is killed. */
interface Program extends Composition {
  readonly life: Life;
  readonly store: QueueStore;
  /** Ends it in order. */
  stop(): Promise<void>;
}

/** One Postern in a simulated world: the daemon's own composition, of a configuration as it is written, on simulated surroundings. */
export class SimulatedNode {
  readonly settings: NodeSettings;
  readonly disk: SimulatedDisk;
  readonly #world: NodeWorld;
  readonly #config: Config;
  readonly #nextHops: NextHops;
  /** What is known of other systems. Outlives the program, like the file that it is. */
  readonly #file = new DatabaseSync(":memory:");
  #program: Program | null = null;
  /** Since when the program that runs, runs. */
  startedAt = 0;

  constructor(settings: NodeSettings, disk: SimulatedDisk, world: NodeWorld) {
    this.settings = settings;
    this.disk = disk;
    this.#world = world;
    this.#config = readConfiguration(settings);
    const nextHops = loadNextHops(this.#config);
    if (!nextHops.ok) throw new Error(nextHops.error.join("; "));
    this.#nextHops = nextHops.value;
  }

  /** What its clock shows. */
  get now(): Instant {
    return later(this.#world.loop.now, this.#world.skew());
  }

  /** Null while it is down. */
  get program(): Omit<Program, "life" | "stop"> | null {
    return this.#program;
  }

  async start(): Promise<void> {
    if (this.#program !== null) return;
    const { loop, trace } = this.#world;
    const { name } = this.settings;
    const program = await this.#load(new Life());
    this.#program = program;
    this.startedAt = loop.now;
    trace.note(name, "started");
    await program.server.start();
    program.start();
  }

  async #load(life: Life): Promise<Program> {
    const store = await this.disk.open(life);
    const on = this.#surroundings(life);
    const log = this.#world.trace.log(this.settings.name);
    const config = this.#config;
    const trust = trustIn(this.#file, { hold: config.delivery.downgradeHold, clock: on.clock, log });
    const upgrade = simulatedServerUpgrade(this.#world.tls, config.timeouts.handshake);
    const resources = new AsyncDisposableStack();
    resources.defer(() => store.close());
    resources.defer(() => trust.results.close());
    const composition = compose(
      {
        config,
        share: alone,
        store,
        former: noFormerQueues(config),
        trust,
        nextHops: this.#nextHops,
        users: simulatedUsers(config, { clock: on.clock, log }),
        tokens: null,
        tls: config.tls === null ? null : { plain: upgrade, of: () => upgrade },
        on,
        log,
      },
      resources,
    );
    return { ...composition, life, store, stop: () => resources.disposeAsync() };
  }

  #surroundings(life: Life): Surroundings {
    const { loop, network, skew, resolver, stsFetch, freeSpace, random } = this.#world;
    const { address, windows } = this.settings;
    return {
      clock: clockOf(loop, life, skew),
      random: random(),
      resolver: (_, signal) => resolver(life, signal),
      freeSpace: () => freeSpace,
      listen: network.listening(life, (stream) => this.#watch(stream)),
      connect: network.connector(address, life),
      upgrade: simulatedClientUpgrade,
      stsFetch: () => stsFetch(life),
      around: (deliverer) => this.#counted(deliverer),
      windows,
    };
  }

  readonly #watch: Parameters<SimulatedNetwork["listening"]>[1] = (stream) => {
    watchReplies(stream, (id, end, offset) => this.#world.ledger.replied(this.settings.name, id, end, offset));
  };

  /** Reads its files anew, as SIGHUP does. Nothing in them has changed. */
  reload(): void {
    if (this.#program === null) return;
    this.#world.trace.note(this.settings.name, "reloading");
    this.#program.renew({ config: readConfiguration(this.settings), nextHops: this.#nextHops, tokens: null });
  }

  /** Pulls the plug. Those it is connected to may hear of it ("both") or not. */
  crash(heard: Cut["heard"]): void {
    if (this.#program === null) return;
    const { network, ledger, loop, trace } = this.#world;
    const { name, address } = this.settings;
    trace.note(name, "crashed");
    const { life } = this.#program;
    this.#program = null;
    ledger.crashes.push({ node: name, at: loop.now });
    network.cut(address, heard);
    life.end();
  }

  /** Stops it in order, as SIGTERM does. */
  async stop(): Promise<void> {
    const program = this.#program;
    if (program === null) return;
    const { trace, ledger, loop } = this.#world;
    trace.note(this.settings.name, "stopping");
    await program.stop();
    if (this.#program !== program) return;
    this.#program = null;
    // Deliveries that it cut off are in the state of a crash: what their hosts took may come again.
    ledger.crashes.push({ node: this.settings.name, at: loop.now });
    trace.note(this.settings.name, "stopped");
    program.life.end();
  }

  /** Holds the runner to its limits. */
  #counted(deliverer: Deliverer): Deliverer {
    const { name, concurrency, destinationConcurrency, limits } = this.settings;
    const { ledger } = this.#world;
    const running = new Map<string, number>();
    let all = 0;
    const mostFor = (destination: string): number => {
      const limit = limits.find(({ match }) => match === "*" || match === destination);
      // Next hops that are named have the limits of hosts.
      return (destination.includes(":") ? null : limit?.connections) ?? destinationConcurrency;
    };
    const count = (destination: string, by: 1 | -1): void => {
      all += by;
      const now = (running.get(destination) ?? 0) + by;
      running.set(destination, now);
      if (now > mostFor(destination)) ledger.breach("own limits are kept", `${name}: ${now} jobs for ${destination}`);
      if (all > concurrency) ledger.breach("own limits are kept", `${name}: ${all} jobs`);
    };
    return {
      destination: (mailbox, override) => deliverer.destination(mailbox, override),
      resume: () => deliverer.resume?.(),
      async deliver(job, signal) {
        count(job.destination, 1);
        try {
          return await deliverer.deliver(job, signal);
        } finally {
          count(job.destination, -1);
        }
      },
    };
  }
}

/** It was never one of several. */
function noFormerQueues({ queue }: Config): FormerQueues {
  return { deliveriesLeft: queue.concurrency, operations: () => [], start() {}, stop: async () => {} };
}
