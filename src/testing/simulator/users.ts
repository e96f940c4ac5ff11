import type { Clock, Log } from "../../base/index.ts";
import type { Config } from "../../config/index.ts";
import type { CompositionParts } from "../../daemon/composition.ts";
import { type CredentialSource, createSendingLimiter, type SendingFile } from "../../intake/index.ts";

/** The one user of each node, who may send as everybody. */
export const USER = { user: "sam", password: "pencil" } as const;

/** Checks passwords as they are: hashes take real time, and tell nothing here. */
const source: CredentialSource = {
  verify: async (name, password) =>
    name === USER.user && password === USER.password ? { kind: "verified", identity: name } : { kind: "refused" },
  account: (identity) => (identity === USER.user ? { byName: true, grants: [{ kind: "any" }], limits: {} } : null),
  close() {},
};

/** What was sent lately is forgotten with the program. */
const forgetful: SendingFile = {
  version: () => 0,
  tally: () => ({}),
  knows: () => false,
  save() {},
  close() {},
};

/** The users of a node that runs. */
export function simulatedUsers(
  { submission }: Pick<Config, "submission">,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): CompositionParts["users"] {
  const limiter = createSendingLimiter({
    accounts: source,
    users: () => submission.limits,
    addresses: () => submission.addressLimits,
    file: forgetful,
    clock,
    log,
  });
  return { source, limiter };
}
