import { type Clock, type Log, unwrap } from "../../base/index.ts";
import { recipientTest } from "../../delivery/index.ts";
import {
  type CredentialSource,
  createAuthenticator,
  createHome,
  createReceiver,
  createRelayPolicy,
  createSubmissionPolicy,
  sendersOf,
} from "../../intake/index.ts";
import { inNetworks } from "../../net/index.ts";
import type { QueueStore, Runner } from "../../queue/index.ts";
import type { Policy } from "../../server/index.ts";
import { parseDomain } from "../../smtp/index.ts";
import type { NodeSettings } from "./node.ts";

/** The one user of each node, who may send as everybody. */
export const USER = { user: "sam", password: "pencil" } as const;

/** Where users hand in mail (RFC 6409 §3.1). */
export const SUBMISSION_PORT = 587;

const HEADER_LIMIT = 256 * 1024;
const FREE_SPACE_FLOOR = 1024;

export type Policies = Readonly<Record<"mx" | "submission", Policy>>;

/** Checks passwords as they are: hashes take real time, and tell nothing here. */
const users: CredentialSource = {
  verify: async (name, password) =>
    name === USER.user && password === USER.password ? { kind: "verified", identity: name } : { kind: "refused" },
  account: (identity) => (identity === USER.user ? { byName: true, grants: [{ kind: "any" }], limits: {} } : null),
  close() {},
};

/** The MTA and the MSA of a node over one receiver, as the daemon has them. */
export function createPolicies(parts: {
  readonly settings: NodeSettings;
  readonly store: QueueStore;
  readonly runner: Runner;
  readonly freeSpace: () => number;
  readonly clock: Clock;
  readonly log: Log;
}): Policies {
  const { settings, store, runner, freeSpace, clock, log } = parts;
  const { domains, rules } = settings;
  const hostname = unwrap(parseDomain(settings.hostname));
  const home = createHome({ hostname, domains: domains.map(({ name }) => unwrap(parseDomain(name))) });
  const receive = createReceiver({
    hostname: settings.hostname,
    store,
    offer: (accepted) => void runner.offer(accepted),
    freeSpace,
    canonical: (mailbox) => home.canonical(mailbox),
    clock,
    log,
    limits: { hops: 30, header: HEADER_LIMIT, giveUpAfter: rules.giveUpAfter, freeSpaceFloor: FREE_SPACE_FLOOR },
  });
  const limits = { messageSize: 10_000_000, recipients: 1000 };
  const shared = { home, receive, knows: recipientTest(domains), log };
  return {
    mx: createRelayPolicy({ ...shared, mayRelay: inNetworks(["10.0.0.0/8"]), limits }),
    submission: createSubmissionPolicy({
      ...shared,
      hostname,
      authenticator: createAuthenticator({ credentials: users, clock, log }),
      senders: sendersOf(users, []),
      rules: { sender: "enforce", qualifyDomain: null, hideClient: false },
      limits: { ...limits, header: HEADER_LIMIT, futureRelease: 0 },
      clock,
    }),
  };
}
