import type { AppliedPolicy, StsFailure, StsPolicy } from "../trust/index.ts";
import type { PolicyFlaw } from "./tls-requirement.ts";

/** No policy, as reports name it (RFC 8460 §4.2). */
export const NO_POLICY: AppliedPolicy = { type: "no-policy-found", strings: [], mxHosts: [] };

/** An MTA-STS policy that was announced and could not be had. */
export const UNKNOWN_STS_POLICY: AppliedPolicy = { type: "sts", strings: [], mxHosts: [] };

export function stsPolicy({ lines, mx }: StsPolicy): AppliedPolicy {
  return { type: "sts", strings: lines, mxHosts: mx };
}

/** `strings`: the usable records; none where there are none, or they could not be had. */
export function tlsaPolicy(strings: readonly string[]): AppliedPolicy {
  return { type: "tlsa", strings, mxHosts: [] };
}

/** The host is none of those that the policy names (RFC 8461 §4.1). */
export function notInPolicy(policy: StsPolicy, host: string): PolicyFlaw {
  const reason = `${host} is no host of the MTA-STS policy of ${policy.domain} (id ${policy.id}, mode ${policy.mode})`;
  return { type: "validation-failure", reason };
}

/** The policy, or a newer one, could not be had. */
export function failureFlaw({ type, detail }: StsFailure): PolicyFlaw {
  return { type, reason: detail };
}
