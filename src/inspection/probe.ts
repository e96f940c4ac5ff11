import { isIP } from "node:net";
import { mathRandom } from "../base/index.ts";
import { type HostLookup, lookUpExchangers, lookUpHost, type MailHost } from "../delivery/index.ts";
import type { Resolver } from "../net/index.ts";
import { type DaneFinding, findDane, type StsFinding, type StsPolicies } from "../trust/index.ts";
import { stsReport } from "./probe-checks.ts";
import { type ProbeManner, probeHost } from "./probe-host.ts";
import { type Check, type HostReport, type ProbeReport, verdictOf } from "./probe-report.ts";

export interface ProbeRequest {
  /** A domain or host as A-labels in lower case, or an IP address without brackets. */
  readonly target: string;
  readonly port: number;
  /** The target is a host: its MX records are not asked. */
  readonly asHost: boolean;
}

export interface ProbeContext extends ProbeManner {
  readonly resolver: Resolver;
  readonly policies: StsPolicies;
}

/** Looks at a host, or at the MX hosts of a domain one after the other. Never rejects, never sends mail. */
export async function probe(request: ProbeRequest, context: ProbeContext): Promise<ProbeReport> {
  const { target, port } = request;
  const asHost = request.asHost || isIP(target) !== 0;
  const lookup = await lookUp(request, asHost, context);
  const sts: StsFinding = asHost
    ? { kind: "none", reason: "a policy belongs to a domain, and a host was named", failure: null }
    : await context.policies.find(target);
  const kind = asHost || isOwnExchanger(lookup, target) ? "host" : "domain";
  const hosts: HostReport[] = [];
  if (lookup.kind === "hosts") {
    for (const host of lookup.hosts) {
      const dane = await daneOf(host, { request, asHost, secure: lookup.secure, resolver: context.resolver });
      hosts.push(await probeHost({ host, port, dane, sts }, context));
    }
  }
  const checks = [...mxChecks(lookup, asHost), ...(asHost ? [] : policyChecks(sts))];
  const all = [...checks, ...hosts.flatMap((host) => summary(host, target))];
  const fine = hosts.length === 1 ? (hosts[0]?.verdict.text ?? "") : `all ${hosts.length} hosts are in order`;
  return {
    target,
    kind,
    mxSecure: lookup.kind === "hosts" && !asHost ? lookup.secure : null,
    mtaSts: asHost ? null : stsReport(sts),
    checks,
    hosts,
    verdict: verdictOf(all, fine),
  };
}

function lookUp({ target, port }: ProbeRequest, asHost: boolean, { resolver }: ProbeContext): Promise<HostLookup> {
  // No name is ours here: whoever probes his own server wants to see it.
  const context = { resolver, random: mathRandom, hostname: "", port, isSelf: () => false };
  return asHost ? lookUpHost(target, context) : lookUpExchangers(target, context);
}

function isOwnExchanger(lookup: HostLookup, target: string): boolean {
  return lookup.kind === "hosts" && lookup.hosts.length === 1 && lookup.hosts[0]?.name === target;
}

interface DaneOf {
  readonly request: ProbeRequest;
  readonly asHost: boolean;
  readonly secure: boolean;
  readonly resolver: Resolver;
}

/** RFC 7672 §2.2.1: where the MX records are not validated, an attacker could name a host with TLSA records of his own. */
async function daneOf(host: MailHost, { request, asHost, secure, resolver }: DaneOf): Promise<DaneFinding> {
  if (!asHost && !secure) return { kind: "none", reason: "the MX records are not validated by DNSSEC" };
  return await findDane({ resolver, host, nextHop: asHost ? null : request.target, port: request.port });
}

function mxChecks(lookup: HostLookup, asHost: boolean): readonly Check[] {
  if (lookup.kind !== "hosts") return [{ check: "mx", status: "failed", text: lookup.problem.text }];
  const { unresolved } = lookup;
  if (unresolved.length > 0) {
    return [{ check: "mx", status: "failed", text: `the address lookup failed for ${unresolved.join(", ")}` }];
  }
  if (asHost) return [];
  const secure = lookup.secure ? "validated by DNSSEC" : "not validated by DNSSEC";
  const names = lookup.hosts.map(({ name }) => name).join(", ");
  return [{ check: "mx", status: "ok", text: `${names} (${secure})` }];
}

function policyChecks(sts: StsFinding): readonly Check[] {
  if (sts.failure !== null) {
    // Announced and not to be had: who has no older copy sends without it (RFC 8461 §5.1).
    return [{ check: "policy", status: "failed", text: `the MTA-STS policy cannot be had: ${sts.failure.detail}` }];
  }
  const isUnknown = sts.kind === "pending" || (sts.kind === "none" && sts.unknown === true);
  if (isUnknown) return [{ check: "policy", status: "failed", text: sts.reason }];
  if (sts.kind === "none") return [{ check: "policy", status: "none", text: `no MTA-STS policy: ${sts.reason}` }];
  const { mode, id } = sts.policy;
  return [{ check: "policy", status: "ok", text: `MTA-STS policy in mode ${mode}, id ${id}` }];
}

/** A host's verdict as one check of the whole. */
function summary({ host, verdict, checks }: HostReport, target: string): readonly Check[] {
  if (verdict.status === "ok") return [];
  const check = checks.find(({ status }) => status === verdict.status)?.check ?? "reachable";
  return [{ check, status: verdict.status, text: host === target ? verdict.text : `${host}: ${verdict.text}` }];
}
