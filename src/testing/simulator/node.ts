import { DatabaseSync } from "node:sqlite";
import { type Clock, type Duration, type Instant, type Log, later, type Random } from "../../base/index.ts";
import { createPool, type Pool } from "../../client/index.ts";
import { createDeliverer, createReporter, type LocalDomain, type RouteRule } from "../../delivery/index.ts";
import type { Resolver } from "../../net/index.ts";
import {
  createRunner,
  type Deliverer,
  type QueueStore,
  type RetryRule,
  type Runner,
  type RunnerLimits,
} from "../../queue/index.ts";
import { createServer, type Server, type ServerLimits, type Service } from "../../server/index.ts";
import { createHostMemory, type HostMemoryStore, type StsPolicies } from "../../trust/index.ts";
import type { SimulatedDisk } from "./disk.ts";
import type { Ledger } from "./ledger.ts";
import type { Cut } from "./link.ts";
import type { ClearLinkStream } from "./link-stream.ts";
import { clockOf, Life, type VirtualLoop } from "./loop.ts";
import type { SimulatedNetwork } from "./network.ts";
import { createPolicies, type Policies, SUBMISSION_PORT } from "./policies.ts";
import { watchReplies } from "./reply-watch.ts";
import { type SimulatedServerTls, simulatedClientUpgrade, simulatedServerUpgrade } from "./tls.ts";
import type { Trace } from "./trace.ts";

/** How a node is set up; what an operator would write. */
export interface NodeSettings {
  readonly name: string;
  readonly hostname: string;
  readonly address: string;
  /** Where its own mail goes: LMTP servers. */
  readonly domains: readonly LocalDomain[];
  readonly routes: readonly RouteRule[];
  readonly rules: RetryRule;
  readonly limits: RunnerLimits;
  readonly serverLimits: Partial<ServerLimits>;
  readonly tls: SimulatedServerTls | null;
  /** Hosts are held to what they proved for so long; null: nothing is remembered. */
  readonly memory: Duration | null;
  readonly clearTextAfterTlsFailure: boolean;
  readonly chunking: "auto" | "never";
  readonly greetingDelay: Duration;
}

/** What a node stands on. */
export interface NodeWorld {
  readonly loop: VirtualLoop;
  readonly network: SimulatedNetwork;
  readonly ledger: Ledger;
  readonly trace: Trace;
  /** How wrong the node's clock is, milliseconds. */
  readonly skew: () => Duration;
  readonly resolver: (life: Life) => Resolver;
  readonly sts: StsPolicies;
  /** Octets free on the disk. */
  readonly freeSpace: () => number;
  readonly random: () => Random;
}

const STOP_GRACE = 30_000;
/** Bounds of a delivery, milliseconds; the defaults of a configuration. */
const CONNECT_TIMEOUT = 30_000;

/** A program that runs on a node until it stops or is killed. */
interface Program {
  readonly life: Life;
  readonly server: Server;
  readonly runner: Runner;
  readonly pool: Pool;
  readonly store: QueueStore;
}

/** One Postern in a simulated world: its real parts, put together as the daemon does, on simulated ones. */
export class SimulatedNode {
  readonly settings: NodeSettings;
  readonly disk: SimulatedDisk;
  readonly #world: NodeWorld;
  /** Outlives the program, like its file. */
  readonly #memory: HostMemoryStore | null;
  #program: Program | null = null;
  /** Since when the program that runs, runs. */
  startedAt = 0;

  constructor(settings: NodeSettings, disk: SimulatedDisk, world: NodeWorld) {
    this.settings = settings;
    this.disk = disk;
    this.#world = world;
    const clock = clockOf(world.loop, new Life(), world.skew);
    this.#memory =
      settings.memory === null
        ? null
        : createHostMemory({ file: new DatabaseSync(":memory:"), clock, hold: settings.memory });
  }

  /** What its clock shows. */
  get now(): Instant {
    return later(this.#world.loop.now, this.#world.skew());
  }

  /** Null while it is down. */
  get program(): Pick<Program, "server" | "runner" | "pool" | "store"> | null {
    return this.#program;
  }

  async start(): Promise<void> {
    if (this.#program !== null) return;
    const { loop, network, trace, skew } = this.#world;
    const { name, address } = this.settings;
    const life = new Life();
    const clock = clockOf(loop, life, skew);
    const log = trace.log(name);
    const store = await this.disk.open(life);
    const pool = createPool({ clock });
    const runner = this.#createRunner({ store, pool, life, clock, log });
    const { settings } = this;
    const policies = createPolicies({ settings, store, runner, freeSpace: this.#world.freeSpace, clock, log });
    const server = this.#createServer({ policies, clock, log });
    this.#program = { life, server, runner, pool, store };
    this.startedAt = loop.now;
    trace.note(name, "started");
    const service: Service = { tls: this.settings.tls === null ? "none" : "starttls" };
    const onStream = (stream: ClearLinkStream) => {
      watchReplies(stream, (id, end, offset) => this.#world.ledger.replied(name, id, end, offset));
      server.serve(stream, service);
    };
    network.listen({ address, port: 25, life, onStream });
    if (service.tls !== "none") this.#listenToUsers({ server, policies, life });
    runner.start();
  }

  #listenToUsers(parts: { readonly server: Server; readonly policies: Policies; readonly life: Life }): void {
    const { server, policies, life } = parts;
    const { name, address } = this.settings;
    const service: Service = { tls: "starttls", policy: policies.submission, bareNewlines: "repair" };
    const onStream = (stream: ClearLinkStream) => {
      watchReplies(stream, (id, end, offset) => this.#world.ledger.replied(name, id, end, offset));
      server.serve(stream, service);
    };
    this.#world.network.listen({ address, port: SUBMISSION_PORT, life, onStream });
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
    const { server, runner, pool, store, life } = program;
    await server.stop({ grace: STOP_GRACE });
    await runner.stop(STOP_GRACE);
    await pool.close();
    await store.close();
    if (this.#program !== program) return;
    this.#program = null;
    // Deliveries that it cut off are in the state of a crash: what their hosts took may come again.
    ledger.crashes.push({ node: this.settings.name, at: loop.now });
    trace.note(this.settings.name, "stopped");
    life.end();
  }

  #createRunner(parts: {
    readonly store: QueueStore;
    readonly pool: Pool;
    readonly life: Life;
    readonly clock: Clock;
    readonly log: Log;
  }): Runner {
    const { store, pool, life, clock, log } = parts;
    const { network, resolver, sts, random } = this.#world;
    const { hostname, address, domains, routes, rules, limits } = this.settings;
    const deliverer = createDeliverer({
      hostname,
      domains,
      routes,
      port: 25,
      resolver: resolver(life),
      pool,
      connect: network.connector(address, life),
      upgrade: simulatedClientUpgrade,
      clock,
      random: random(),
      log,
      isSelf: (to, port) => to === address && port === 25,
      connectTimeout: CONNECT_TIMEOUT,
      handshakeTimeout: CONNECT_TIMEOUT,
      dane: true,
      sts,
      ...(this.#memory === null ? {} : { memory: this.#memory }),
      tlsResumption: false,
      clearTextAfterTlsFailure: this.settings.clearTextAfterTlsFailure,
      chunking: this.settings.chunking,
    });
    const reporter = createReporter({
      hostname,
      clock,
      nextId: () => store.nextId(),
      lifetime: rules.giveUpAfter,
      log,
    });
    return createRunner({
      store,
      deliverer: this.#counted(deliverer),
      reporter,
      clock,
      random: random(),
      log,
      rules,
      limits,
    });
  }

  /** Holds the runner to its limits. */
  #counted(deliverer: Deliverer): Deliverer {
    const { total, destinationMost } = this.settings.limits;
    const { ledger } = this.#world;
    const running = new Map<string, number>();
    let all = 0;
    const count = (destination: string, by: 1 | -1): void => {
      all += by;
      const now = (running.get(destination) ?? 0) + by;
      running.set(destination, now);
      const { name } = this.settings;
      if (now > destinationMost) ledger.breach("own limits are kept", `${name}: ${now} jobs for ${destination}`);
      if (all > total) ledger.breach("own limits are kept", `${name}: ${all} jobs`);
    };
    return {
      destination: (mailbox) => deliverer.destination(mailbox),
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

  #createServer(parts: { readonly policies: Policies; readonly clock: Clock; readonly log: Log }): Server {
    const { policies, clock, log } = parts;
    const { hostname, serverLimits, tls, greetingDelay } = this.settings;
    const { random } = this.#world;
    return createServer({
      hostname,
      listeners: [],
      policy: policies.mx,
      ...(tls === null ? {} : { tls: simulatedServerUpgrade(tls, CONNECT_TIMEOUT) }),
      limits: { ...serverLimits, greetingDelay },
      clock,
      random: random(),
      log,
    });
  }
}
