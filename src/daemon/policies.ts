// The half of a daemon before the queue: whom a configuration has mail taken from, and under which rules.
import { type Log, unwrap } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { recipientTest } from "../delivery/index.ts";
import {
  type AuthThrottle,
  createHome,
  createPeers,
  createReceiver,
  createRelayPolicy,
  createSubmissionPolicy,
  type SubmissionRules,
  sendersOf,
} from "../intake/index.ts";
import { inNetworks } from "../net/index.ts";
import type { Tokens } from "../oauth/index.ts";
import type { QueueStore, Runner } from "../queue/index.ts";
import type { Policy } from "../server/index.ts";
import { parseDomain } from "../smtp/index.ts";
import { configuredAuthenticator } from "./auth.ts";
import { createMailDomains } from "./mail-domains.ts";
import type { Surroundings } from "./surroundings.ts";
import type { ServedUsers } from "./users.ts";

/** Octets of the disk that are never filled with mail: room to record outcomes and to log. */
const FREE_SPACE_FLOOR = 100 * 1024 * 1024;
/** A header section may be this large (octets); beyond it the message is refused. */
const HEADER_LIMIT = 256 * 1024;

/** What is counted of clients, whatever the rules are. */
export interface Counted {
  /** Failed logins. */
  readonly throttle: AuthThrottle;
  /** Connections that each peer has now, by its name. */
  readonly peerConnections: Map<string, number>;
}

/** What the half before the queue is made of; the caller closes what is open here. */
export interface PolicyParts extends Counted {
  readonly config: Config;
  readonly store: QueueStore;
  readonly runner: Runner;
  readonly users: Pick<ServedUsers, "source" | "limiter">;
  readonly tokens: Tokens | null;
  /** Given when nobody waits for DNS any more. */
  readonly lookups: AbortSignal;
  readonly on: Pick<Surroundings, "clock" | "random" | "resolver" | "freeSpace">;
  readonly log: Log;
}

/** The MTA and the MSA, over one receiver. */
export function createPolicies({
  config,
  store,
  runner,
  users,
  throttle,
  peerConnections,
  tokens,
  lookups,
  on,
  log,
}: PolicyParts): Record<"mx" | "submission", Policy> {
  const { clock, random } = on;
  const domains = config.domains.map(({ name }) => unwrap(parseDomain(name)));
  const hostname = unwrap(parseDomain(config.hostname));
  const home = createHome({ hostname, domains });
  const receive = createReceiver({
    hostname: config.hostname,
    store,
    offer: (accepted) => void runner.offer(accepted),
    freeSpace: on.freeSpace(config.dataDir),
    canonical: (mailbox) => home.canonical(mailbox),
    clock,
    log,
    limits: {
      hops: config.limits.hops,
      header: HEADER_LIMIT,
      giveUpAfter: config.queue.giveUpAfter,
      freeSpaceFloor: FREE_SPACE_FLOOR,
    },
  });
  const authenticator = configuredAuthenticator(config, { credentials: users.source, tokens, throttle, clock, log });
  const knows = recipientTest(config.domains);
  const { vrfy } = config.smtp;
  const { messageSize, recipients } = config.limits;
  const limits = { messageSize, recipients };
  return {
    mx: createRelayPolicy({
      home,
      mayRelay: inNetworks(config.relay.networks),
      peers: createPeers({ rules: config.peers, connections: peerConnections, log }),
      receive,
      knows,
      vrfy,
      limits,
      log,
    }),
    submission: createSubmissionPolicy({
      hostname,
      authenticator,
      senders: sendersOf(users.source, domains),
      limiter: users.limiter,
      rules: submissionRules(config),
      mailDomains: createMailDomains(config, { resolver: on.resolver(config, lookups), random }),
      receive,
      home,
      knows,
      vrfy,
      limits: { ...limits, header: HEADER_LIMIT, futureRelease: config.limits.futureRelease },
      clock,
      log,
    }),
  };
}

function submissionRules({ submission }: Config): SubmissionRules {
  const { sender, qualifyDomain, hideClient } = submission;
  return { sender, hideClient, qualifyDomain: qualifyDomain === null ? null : unwrap(parseDomain(qualifyDomain)) };
}
