import type { DaneFinding, RememberedHost } from "../trust/index.ts";
import type { MailHost } from "./mx.ts";
import { decideTls, type TlsQuestion, type TlsRefusal } from "./tls-policy.ts";
import { demandKey, type TlsRequirement, withoutTls } from "./tls-requirement.ts";

/** One host to be tried, with all that its connection must prove. */
export interface PlannedAttempt {
  /** The host's name as routed. */
  readonly host: string;
  /** At least one, in the order to be tried. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly protocol: "smtp" | "lmtp";
  /** For whose mail the host is remembered and reported on, see `PlanRequest`. */
  readonly domain: string | null;
  readonly requirement: TlsRequirement;
}

/** A host that is passed over because nothing it could show would be enough. */
export interface RuledOut extends TlsRefusal {
  readonly host: string;
  /** How many attempts come before it in the order of hosts. */
  readonly after: number;
}

export interface Plan {
  readonly attempts: readonly PlannedAttempt[];
  readonly ruledOut: readonly RuledOut[];
}

/** What is known of one host before a connection. */
export interface KnownHost extends MailHost {
  readonly dane: DaneFinding;
  readonly remembered: RememberedHost | null;
}

export interface PlanRequest extends Omit<TlsQuestion, "host" | "dane" | "remembered"> {
  /** Best first. */
  readonly hosts: readonly KnownHost[];
  readonly port: number;
  readonly protocol: "smtp" | "lmtp";
  /** The recipient's domain, or `HOST:PORT` of a configured next hop; null where nothing is to be remembered of the host. */
  readonly domain: string | null;
}

/** Decides, before any connection, what will be tried in which order and what each must prove. Pure. */
export function planAttempts(request: PlanRequest): Plan {
  const attempts: PlannedAttempt[] = [];
  const ruledOut: RuledOut[] = [];
  const { port, protocol, domain } = request;
  for (const { name: host, addresses, dane, remembered } of request.hosts) {
    const decision = decideTls({ ...request, host, dane, remembered });
    if (decision.kind !== "require") ruledOut.push({ ...decision, host, after: attempts.length });
    else attempts.push({ host, addresses, port, protocol, domain, requirement: decision.requirement });
  }
  return { attempts, ruledOut };
}

/**
 * The second round, in clear text, over hosts whose handshake failed where TLS was only taken for its being there. Never for a
 * connection that had to prove anything.
 */
export function clearTextRound(failedHandshakes: readonly PlannedAttempt[]): readonly PlannedAttempt[] {
  return failedHandshakes
    .filter(({ requirement }) => requirement.mode === "opportunistic" && requirement.proof.kind === "nothing")
    .map((attempt) => ({ ...attempt, requirement: withoutTls(attempt.requirement) }));
}

/**
 * Names the sessions that may carry this attempt's mail. All that the TLS policy demands is in it, so that a session opened under
 * a weaker rule is never used for a stronger one, whatever domains share the host.
 */
export function sessionKey({ protocol, host, port, requirement }: PlannedAttempt): string {
  return JSON.stringify([protocol, host.toLowerCase(), port, demandKey(requirement)]);
}
