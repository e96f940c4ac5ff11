import type { ClientProblem, Stage } from "../client/index.ts";
import { severity } from "../smtp/index.ts";
import type { AttemptResult } from "./attempt.ts";
import type { HostSight } from "./host-loads.ts";

/** Up to here every attempt meets the same; what follows is a matter of what the mail demands. */
const BEFORE_DEMANDS: ReadonlySet<Stage> = new Set(["connect", "greeting", "hello"]);

/** What an attempt says of its host to those whose mail goes there by other domains. */
export function sightOf({ problem, findings }: AttemptResult): HostSight {
  // Who took a first session, and lets in no second one that the rest would go by (RFC 9422), is there.
  if (problem !== null && findings.some(wasServed)) return { kind: "trouble" };
  if (problem !== null) return isUnreachable(problem) ? { kind: "unreachable", text: textOf(findings) } : NOTHING;
  const isTrouble = findings.some(
    ({ outcome }) => outcome.kind === "deferred" && (outcome.scope === "connection" || outcome.scope === "host"),
  );
  return isTrouble ? { kind: "trouble" } : { kind: "answered" };
}

/** It answered in a transaction. */
function wasServed({ outcome }: AttemptResult["findings"][number]): boolean {
  if (outcome.kind === "delivered") return true;
  return outcome.problem.reply !== null && (outcome.scope === "recipient" || outcome.scope === "message");
}

const NOTHING: HostSight = { kind: "nothing" };

function isUnreachable(problem: ClientProblem): boolean {
  if (problem.kind === "tlsNotOffered" || problem.kind === "authNotOffered") return false;
  if (!BEFORE_DEMANDS.has(problem.stage)) return false;
  if (problem.kind === "network") return problem.problem.kind !== "aborted";
  // A host that turns us away for good answers each message so, and each is told of it.
  return problem.kind !== "refused" || severity(problem.reply) === "temporary";
}

function textOf(findings: AttemptResult["findings"]): string {
  const outcome = findings[0]?.outcome;
  return outcome === undefined || outcome.kind === "delivered" ? "no connection came about" : outcome.problem.text;
}
