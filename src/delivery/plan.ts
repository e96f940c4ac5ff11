import type { DeliveryProblem } from "../queue/index.ts";
import type { MailHost } from "./mx.ts";
import { decideTls, type TlsQuestion, type TlsRequirement, withoutTls } from "./tls-policy.ts";

/** One host to be tried, with all that its connection must prove. */
export interface PlannedAttempt {
  /** The host's name as routed. */
  readonly host: string;
  /** At least one, in the order to be tried. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly protocol: "smtp" | "lmtp";
  readonly requirement: TlsRequirement;
}

/** A host that is passed over because nothing it could show would be enough. */
export interface RuledOut {
  readonly host: string;
  readonly kind: "deferred" | "failed";
  readonly problem: DeliveryProblem;
}

export interface Plan {
  readonly attempts: readonly PlannedAttempt[];
  readonly ruledOut: readonly RuledOut[];
}

export interface PlanRequest extends Omit<TlsQuestion, "host"> {
  /** Best first. */
  readonly hosts: readonly MailHost[];
  readonly port: number;
  readonly protocol: "smtp" | "lmtp";
}

/** Decides, before any connection, what will be tried in which order and what each must prove. Pure. */
export function planAttempts(request: PlanRequest): Plan {
  const attempts: PlannedAttempt[] = [];
  const ruledOut: RuledOut[] = [];
  for (const { name, addresses } of request.hosts) {
    const decision = decideTls({ ...request, host: name });
    if (decision.kind !== "require") {
      ruledOut.push({ host: name, kind: decision.kind, problem: decision.problem });
      continue;
    }
    const { requirement } = decision;
    attempts.push({ host: name, addresses, port: request.port, protocol: request.protocol, requirement });
  }
  return { attempts, ruledOut };
}

/**
 * The second round, in clear text, over hosts whose handshake failed where TLS was only taken for its being there. Never for a
 * connection that had to prove anything.
 */
export function clearTextRound(failedHandshakes: readonly PlannedAttempt[]): readonly PlannedAttempt[] {
  return failedHandshakes
    .filter(({ requirement }) => requirement.mode === "opportunistic" && requirement.names === null)
    .map((attempt) => ({ ...attempt, requirement: withoutTls(attempt.requirement) }));
}

/**
 * Names the sessions that may carry this attempt's mail. All that the TLS policy demands is in it, so that a session opened under
 * a weaker rule is never used for a stronger one, whatever domains share the host.
 */
export function sessionKey(attempt: PlannedAttempt): string {
  const { mode, names, requireTls } = attempt.requirement;
  return JSON.stringify([attempt.protocol, attempt.host.toLowerCase(), attempt.port, mode, names, requireTls]);
}
