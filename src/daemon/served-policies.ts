// Policies that may change while they are in use.
import type { Policy } from "../server/index.ts";
import { type Counted, createPolicies, type PolicyParts } from "./policies.ts";

export interface ServedPolicies {
  readonly services: Record<"mx" | "submission", Policy>;
  /** From the next connection on; those that are open keep what they began with, and what was counted of them counts on. */
  renew(next: Pick<PolicyParts, "config" | "tokens">): void;
}

export function servePolicies(parts: Omit<PolicyParts, keyof Counted>, counted: Counted): ServedPolicies {
  let current = createPolicies({ ...parts, ...counted });
  const service = (name: "mx" | "submission"): Policy => ({
    connect: (client) => current[name].connect(client),
    begin: (client) => current[name].begin(client),
  });
  return {
    services: { mx: service("mx"), submission: service("submission") },
    renew(next) {
      current = createPolicies({ ...parts, ...counted, ...next });
    },
  };
}
