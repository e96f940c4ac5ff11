// The two halves of a daemon and its server, tied together; `daemon.ts` opens what they stand on.
import { type AdminOperations, createOperations } from "../admin/index.ts";
import type { Log } from "../base/index.ts";
import type { Pool } from "../client/index.ts";
import type { Config } from "../config/index.ts";
import { AuthThrottle, dividedThrottle, inTurn, Turnstile } from "../intake/index.ts";
import { inNetworks } from "../net/index.ts";
import type { Tokens } from "../oauth/index.ts";
import type { Runner } from "../queue/index.ts";
import {
  createServer,
  type ListenerOptions,
  type Policy,
  type Server,
  type ServerLimits,
  type ServiceTls,
} from "../server/index.ts";
import type { NextHops } from "./next-hops.ts";
import { createQueueSide, type QueueParts } from "./queue-side.ts";
import { servePolicies } from "./served-policies.ts";
import type { WorkerShare } from "./share.ts";
import type { ServingTls } from "./tls.ts";
import { toldRunner } from "./told-runner.ts";
import type { ServedUsers } from "./users.ts";

/** What is tied; the caller closes what is open here. */
export interface CompositionParts extends QueueParts {
  readonly users: Pick<ServedUsers, "source" | "limiter">;
  readonly tokens: Tokens | null;
  readonly tls: ListenerTls | null;
  /** Where the connections of a listener are told of; default: `log`. */
  readonly logOf?: (listener: Config["listeners"][number]) => Log;
}

/** The TLS of what is served: of no listener in particular, and of one. */
interface ListenerTls {
  readonly plain: ServiceTls;
  of(listener: Parameters<ServingTls["of"]>[0]): ServiceTls;
}

export interface Composition {
  /** Not started. */
  readonly server: Server;
  readonly runner: Runner;
  readonly pool: Pool;
  /** What an operator may do to the queue. */
  readonly operations: AdminOperations;
  /** Begins to deliver. */
  start(): void;
  /** Puts other rules in the place of those before: for connections and deliveries that begin from now on. */
  renew(next: Rules): void;
}

/** A configuration, and what the files hold that it names. */
export interface Rules {
  readonly config: Config;
  readonly nextHops: NextHops;
  readonly tokens: Tokens | null;
}

/** Ties the halves before and behind the queue. What is made here ends with `resources`: the server first, then the deliveries. */
export function compose(parts: CompositionParts, resources: AsyncDisposableStack): Composition {
  const { config, share, store, users, tokens, tls, on, log, logOf } = parts;
  const behind = createQueueSide(parts, resources);
  const lookups = new AbortController();
  resources.defer(() => lookups.abort());
  const policies = servePolicies(
    { config, store, runner: behind.runner, users, tokens, lookups: lookups.signal, on, log },
    { throttle: new AuthThrottle(on.clock, dividedThrottle(share.workers)), peerConnections: new Map() },
  );
  const turnstile = new Turnstile({ clock: on.clock, syncTime: () => store.syncTime ?? 0 });
  const services = {
    mx: inTurn(policies.services.mx, turnstile),
    submission: inTurn(policies.services.submission, turnstile),
  };
  const listenersOf = ({ listeners }: Config): readonly ListenerOptions[] =>
    listeners.map((listener) => listenerOptions(listener, { policies: services, tls, share, logOf }));
  let { stop } = config.timeouts;
  const server = createServer({
    hostname: config.hostname,
    listeners: listenersOf(config),
    policy: services.mx,
    ...(tls === null ? {} : { tls: tls.plain }),
    limits: serverLimits(config),
    listen: on.listen,
    clock: on.clock,
    random: on.random,
    log,
  });
  resources.defer(() => server.stop({ grace: stop }));
  const { runner } = behind;
  const queue = createOperations({ store, clock: on.clock, poke: () => runner.poke() });
  const renew = (next: Rules): void => {
    stop = next.config.timeouts.stop;
    behind.renew(next.config, next.nextHops);
    policies.renew(next);
    server.renew({ limits: serverLimits(next.config), services: listenersOf(next.config) });
  };
  return { server, ...behind, renew, operations: toldRunner(queue, () => runner) };
}

interface ListenerParts {
  readonly policies: Record<"mx" | "submission", Policy>;
  readonly tls: ListenerTls | null;
  readonly share: WorkerShare;
  readonly logOf: CompositionParts["logOf"];
}

function listenerOptions(
  listener: Config["listeners"][number],
  { policies, tls, share, logOf }: ListenerParts,
): ListenerOptions {
  return {
    ...listener.address,
    reusePort: share.workers > 1,
    tls: listener.tls,
    ...(tls === null ? {} : { serverTls: tls.of(listener) }),
    requireCertificate: listener.clientCertificates === "require",
    policy: policies[listener.service],
    proxy: inNetworks(listener.proxy),
    xclient: inNetworks(listener.xclient),
    // Programs of users send bare LF; other servers that do are forging or broken (message smuggling).
    bareNewlines: listener.service === "submission" ? "repair" : "refuse",
    ...(logOf === undefined ? {} : { log: logOf(listener) }),
  };
}

function serverLimits({ limits, timeouts }: Config): Partial<ServerLimits> {
  return {
    connections: limits.connections,
    connectionsPerAddress: limits.connectionsPerAddress,
    errors: limits.errors,
    transactions: limits.transactions,
    command: timeouts.command,
    bodyBlock: timeouts.data,
    handshake: timeouts.handshake,
  };
}
