import { printable } from "../base/index.ts";
import type { ClientProblem } from "../client/index.ts";
import type { CertificateReason, TlsInfo } from "../net/index.ts";
import type { TlsResultType } from "../trust/index.ts";
import type { TlsRequirement } from "./tls-requirement.ts";

/** A failed handshake, after which a clear-text connection may still work. */
export function isHandshakeFailure(problem: ClientProblem): boolean {
  return problem.kind !== "tlsNotOffered" && problem.kind !== "authNotOffered" && problem.stage === "handshake";
}

/**
 * TLS was not offered, refused, or did not come about, from STARTTLS on: the host did not show what was asked of it, or somebody between
 * kept it from that.
 */
export function isTlsFailure(problem: ClientProblem): boolean {
  if (problem.kind === "authNotOffered") return false;
  if (problem.kind === "network" && problem.problem.kind === "aborted") return false;
  return problem.kind === "tlsNotOffered" || problem.stage === "starttls" || problem.stage === "handshake";
}

/** Whether a host failed in just what it proved before, so that it has fallen below that. */
export function fellBelow({ held }: TlsRequirement, problem: ClientProblem): boolean {
  if (held === null || !isTlsFailure(problem)) return false;
  const certificate = problem.kind === "network" && problem.problem.kind === "certificate";
  return certificate ? held.name : held.tls || held.version;
}

/** What a report tells of a session. */
export interface SessionResult {
  readonly type: TlsResultType;
  /** In one line; null for success. */
  readonly reason: string | null;
}

/** What a session that did not come about means for the domain's report; null for what is no matter of TLS (RFC 8460 §4.3.4). */
export function resultOfFailure(problem: ClientProblem): SessionResult | null {
  if (!isTlsFailure(problem)) return null;
  switch (problem.kind) {
    case "tlsNotOffered":
      return { type: "starttls-not-supported", reason: "STARTTLS is not offered" };
    case "refused":
      return { type: "starttls-not-supported", reason: `STARTTLS was answered ${problem.reply.code}` };
    case "network": {
      const { kind, reason, detail } = problem.problem;
      const type = kind === "certificate" ? ofCertificate(reason ?? null) : "validation-failure";
      return { type, reason: printable(detail) };
    }
    default:
      return { type: "validation-failure", reason: describeBreakage(problem) };
  }
}

function describeBreakage(
  problem: Exclude<ClientProblem, { readonly kind: "network" | "refused" | "tlsNotOffered" }>,
): string {
  switch (problem.kind) {
    case "protocol":
      return `STARTTLS was answered with something else: ${printable(problem.detail)}`;
    case "timeout":
      return "STARTTLS was not answered in time";
    case "closed":
      return "the connection ended at STARTTLS";
    case "authNotOffered":
      return "no way to authenticate is offered";
  }
}

/** The same of one that stands: what was only watched may be lacking, and the policy itself may have a flaw. */
export function resultOfSession(requirement: TlsRequirement, tls: TlsInfo | null): SessionResult {
  if (tls === null) return { type: "starttls-not-supported", reason: "STARTTLS is not offered or was refused" };
  const certificate = tls.peerCertificate;
  if (requirement.watched !== null && certificate?.authorized !== true) {
    const reason = certificate?.problem ?? "the server showed no certificate";
    return { type: ofCertificate(certificate?.reason ?? null), reason };
  }
  return requirement.flaw ?? { type: "success", reason: null };
}

/** RFC 8460 §4.3.1. */
function ofCertificate(reason: CertificateReason | null): TlsResultType {
  switch (reason) {
    case "name":
      return "certificate-host-mismatch";
    case "expired":
      return "certificate-expired";
    case "untrusted":
    case "pin":
      return "certificate-not-trusted";
    case "dane":
    case null:
      return "validation-failure";
  }
}
