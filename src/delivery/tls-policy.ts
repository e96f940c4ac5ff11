import { isIP } from "node:net";
import type { Instant } from "../base/index.ts";
import type { KeyPair } from "../net/index.ts";
import type { DeliveryProblem } from "../queue/index.ts";
import {
  type AppliedPolicy,
  type DaneFinding,
  matchesSts,
  type RememberedHost,
  type StsFinding,
  type StsPolicy,
} from "../trust/index.ts";
import { failureFlaw, NO_POLICY, notInPolicy, stsPolicy, tlsaPolicy, UNKNOWN_STS_POLICY } from "./applied-policy.ts";
import type { TlsLevel } from "./route.ts";
import {
  formatTlsa,
  type HeldTo,
  type PolicyFlaw,
  type TlsProof,
  type TlsRequirement,
  type TlsVersion,
} from "./tls-requirement.ts";

/** What the configuration demands of a next hop, whatever is published. */
export interface RouteDemand {
  readonly level: TlsLevel;
  /** Which line of the configuration asked for `level`. */
  readonly reason: string;
  /** In place of the authorities trusted by default, PEM; null: those. */
  readonly ca: readonly string[] | null;
  /** Keys that are as good as a proven name under `verified`: SHA-256 of the SPKI, hex in lower case. */
  readonly pins: readonly string[];
  readonly minVersion: TlsVersion;
  readonly clientCertificate: KeyPair | null;
}

export interface TlsQuestion {
  readonly route: RouteDemand;
  /** Is the host one of the recipient domain's (MX), so that its sessions are told in TLS reports? */
  readonly reported: boolean;
  /** The host's name as routed. */
  readonly host: string;
  /** TLS from the first octet (`smtps`). */
  readonly implicit: boolean;
  /** The host's name is configured, or DNSSEC-validated. */
  readonly secureName: boolean;
  readonly dane: DaneFinding;
  readonly sts: StsFinding;
  /** What the host is held to; null: nothing. */
  readonly remembered: RememberedHost | null;
  /** The message carries REQUIRETLS. */
  readonly requireTls: boolean;
  /** The message carries `TLS-Required: No`. */
  readonly tlsOptional: boolean;
}

export type TlsDecision = { readonly kind: "require"; readonly requirement: TlsRequirement } | TlsRefusal;

/** Nothing that this host could show would be enough. */
export interface TlsRefusal {
  readonly kind: "deferred" | "failed";
  readonly problem: DeliveryProblem;
  /** What reports tell of it; null where it is no matter of the domain's policy. */
  readonly told: { readonly policy: AppliedPolicy; readonly flaw: PolicyFlaw } | null;
  /** Only time is wanting: nothing was tried, and the next try may be then. Only with "deferred". */
  readonly turnAt?: Instant;
}

/** A requirement in the making; what is published and remembered is laid on top of what the route demands. */
interface Draft {
  readonly tls: boolean;
  readonly proof: TlsProof;
  readonly watched: TlsProof | null;
  readonly serverName: string | null;
  readonly minVersion: TlsVersion;
  readonly policy: AppliedPolicy;
  readonly flaw: PolicyFlaw | null;
  readonly held: HeldTo | null;
  /** Who demands it, the strongest voice first. */
  readonly sources: readonly string[];
}

/**
 * The one place where it is decided what a connection must prove. The route's level is the least; what the recipient's domain
 * publishes counts on top (DANE before MTA-STS, RFC 8461 §2), and on that REQUIRETLS, or else what the host proved before. Under `off`
 * nothing counts on top.
 */
export function decideTls(question: TlsQuestion): TlsDecision {
  const { route, dane } = question;
  if (route.level === "off") return withTlsOff(question);
  // Fails closed: a level that cannot be proven is never read as a lesser one.
  if (route.level === "dane" && dane.kind !== "records") return withoutRecords(question, dane);
  const byRoute = routeDraft(question);
  if (question.tlsOptional) return { kind: "require", requirement: tlsOptional(question, byRoute) };
  const ruledOut = ruledOutByDomain(question);
  if (ruledOut !== null) return ruledOut;
  const published = withPublished(byRoute, question);
  const relaxed = question.requireTls ? withRequireTls(published, question) : withMemory(published, question);
  if ("kind" in relaxed) return relaxed;
  return { kind: "require", requirement: finish(relaxed, question) };
}

function withTlsOff(question: TlsQuestion): TlsDecision {
  const { reason } = question.route;
  if (question.requireTls) return requireTlsRefused(`${reason} forbids TLS`);
  const draft = routeDraft(question);
  if (question.implicit) return { kind: "require", requirement: finish(draft, question) };
  const requirement = { ...finish(draft, question), mode: "none", rule: `off (${reason})`, policy: null } as const;
  return { kind: "require", requirement };
}

/** Mandatory DANE (RFC 7672 §6). */
function withoutRecords(
  { route, host, reported }: TlsQuestion,
  dane: Exclude<DaneFinding, { readonly kind: "records" }>,
): TlsRefusal {
  const demand = `${route.reason} demands DANE`;
  switch (dane.kind) {
    case "failed":
      return lookupFailed(host, dane.detail, reported);
    case "none": {
      const reason = `${demand}, and ${host} has no TLSA records that count: ${dane.reason}`;
      return refused(reason, reported ? { policy: tlsaPolicy([]), flaw: { type: "dane-required", reason } } : null);
    }
    case "unusable": {
      const reason = `${demand}, and no TLSA record at ${dane.owner} is usable: ${dane.reason}`;
      return refused(reason, reported ? { policy: tlsaPolicy([]), flaw: { type: "tlsa-invalid", reason } } : null);
    }
  }
}

/**
 * Hosts that the domain itself rules out: a TLSA lookup that failed, a name that is not in its MTA-STS policy, or a policy that is yet to
 * be asked for.
 */
function ruledOutByDomain({ dane, sts, host, reported, requireTls }: TlsQuestion): TlsRefusal | null {
  if (dane.kind === "failed") return lookupFailed(host, dane.detail, reported);
  if (dane.kind === "records") return null;
  if (sts.kind === "pending") return pendingPolicy(host, sts);
  if (sts.kind !== "policy" || sts.policy.mode !== "enforce") return null;
  if (matchesSts(sts.policy.mx, host)) return null;
  const flaw = notInPolicy(sts.policy, host);
  const told = { policy: stsPolicy(sts.policy), flaw };
  // RFC 8689 §4.2.1 step 2: where no host's name is validated the message comes back.
  return requireTls ? { ...requireTlsRefused(flaw.reason), told } : refused(flaw.reason, told);
}

function pendingPolicy(host: string, { reason, again }: Extract<StsFinding, { readonly kind: "pending" }>): TlsRefusal {
  const text = `what the domain's MTA-STS policy says of ${host} is not known yet: ${reason}`;
  return { kind: "deferred", problem: { text, reply: null, status: "4.4.5" }, told: null, turnAt: again };
}

/** RFC 7672 §2.1.2: such a host is as good as unreachable, else an attacker would only have to break the lookup. */
function lookupFailed(host: string, detail: string, reported: boolean): TlsRefusal {
  const reason = `the TLSA lookup for ${host} failed: ${detail}`;
  return refused(reason, reported ? { policy: tlsaPolicy([]), flaw: { type: "dnssec-invalid", reason } } : null);
}

/**
 * RFC 8689 §4.2.2: what the domain publishes is followed as far as it goes, and stops nothing; what the route demands stands.
 */
function tlsOptional(question: TlsQuestion, byRoute: Draft): TlsRequirement {
  const published = withPublished(byRoute, question);
  const watched = published.proof.kind === "nothing" ? published.watched : published.proof;
  const { tls, proof } = byRoute;
  const sources = ["TLS-Required: No in the message", ...byRoute.sources];
  return finish({ ...published, tls, proof, watched: proof.kind === "nothing" ? watched : null, sources }, question);
}

function routeDraft({ route, host, implicit, dane }: TlsQuestion): Draft {
  const { level, reason, minVersion } = route;
  const smtps = implicit && (level === "off" || level === "opportunistic");
  const draft: Draft = {
    tls: level !== "opportunistic" && level !== "off",
    proof: level === "verified" ? nameProof(host, route, route.pins) : { kind: "nothing" },
    watched: null,
    serverName: sniOf(host),
    minVersion,
    policy: NO_POLICY,
    flaw: null,
    held: null,
    sources: smtps ? ["smtps", reason] : [reason],
  };
  return level === "dane" && dane.kind === "records" ? withRecords(draft, dane) : draft;
}

/** What the recipient's domain publishes and wants enforced. */
function withPublished(draft: Draft, question: TlsQuestion): Draft {
  const { dane, sts, host } = question;
  if (dane.kind === "records") return withRecords(draft, dane);
  const base = dane.kind === "unusable" ? withUnusable(draft, dane) : draft;
  if (sts.kind !== "policy") {
    if (sts.failure === null || dane.kind === "unusable") return base;
    return { ...base, policy: UNKNOWN_STS_POLICY, flaw: failureFlaw(sts.failure) };
  }
  const { policy } = sts;
  if (!matchesSts(policy.mx, host)) return { ...base, policy: stsPolicy(policy), flaw: notInPolicy(policy, host) };
  const refresh = sts.failure === null ? base.flaw : failureFlaw(sts.failure);
  const told = { ...base, policy: stsPolicy(policy), flaw: refresh };
  return policy.mode === "enforce" ? withSts(told, question, policy) : watching(told, question, policy);
}

function withRecords(draft: Draft, dane: Extract<DaneFinding, { readonly kind: "records" }>): Draft {
  const { records, owner, base } = dane;
  const source = `TLSA records at ${owner}`;
  return {
    ...draft,
    tls: true,
    // Names count for usage 2 alone (RFC 7672 §3.1.1); left out, domains that share a host share its sessions.
    proof: { kind: "dane", records, names: records.some(({ usage }) => usage === 2) ? dane.names : [] },
    serverName: base,
    policy: tlsaPolicy(records.map(formatTlsa)),
    sources: draft.sources.includes(source) ? draft.sources : [source, ...draft.sources],
  };
}

/** RFC 7672 §2.2: published, and none that can be checked: TLS is demanded, any certificate will do. */
function withUnusable(draft: Draft, { owner, reason }: Extract<DaneFinding, { readonly kind: "unusable" }>): Draft {
  const source = `no usable TLSA record at ${owner}: ${reason}`;
  const flaw: PolicyFlaw = { type: "tlsa-invalid", reason: source };
  return { ...draft, tls: true, policy: tlsaPolicy([]), flaw, sources: [source, ...draft.sources] };
}

/** RFC 8461 §4.1, §4.2: the certificate names the host, by an authority. A pinned key is the route's proof, not the policy's. */
function withSts(draft: Draft, { host, route }: TlsQuestion, policy: StsPolicy): Draft {
  const sources = [sourceOf(policy), ...draft.sources];
  return { ...draft, tls: true, proof: nameProof(host, route, []), sources };
}

/** RFC 8461 §5, mode testing: a breach is told, and mail goes on. */
function watching(draft: Draft, { host, route }: TlsQuestion, policy: StsPolicy): Draft {
  const watched = draft.proof.kind === "nothing" ? nameProof(host, route, []) : null;
  return { ...draft, watched, sources: [...draft.sources, `${sourceOf(policy)}, watched`] };
}

function sourceOf({ domain, mode }: StsPolicy): string {
  return `MTA-STS policy of ${domain}, mode ${mode}`;
}

/**
 * What the host proved before is demanded again, so that no one takes it away in silence. A match of TLSA records is not: who
 * withdraws them says so in signed DNS.
 */
function withMemory(draft: Draft, { remembered, host, route, implicit }: TlsQuestion): Draft {
  if (remembered === null || !remembered.tls) return draft;
  const held: HeldTo = {
    tls: !draft.tls && !implicit,
    version: remembered.version === "TLSv1.3" && draft.minVersion === "TLSv1.2",
    name: remembered.authenticated === "name" && draft.proof.kind === "nothing",
  };
  if (!held.tls && !held.version && !held.name) return draft;
  // No version is told where the host shows now one, now another.
  const version = remembered.version?.startsWith("TLS") === true ? remembered.version : "TLS";
  const proven = [version, ...(held.name ? ["its name"] : [])].join(" and ");
  const day = new Date(remembered.provenAt).toISOString().slice(0, 10);
  return {
    ...draft,
    tls: true,
    proof: held.name ? nameProof(host, route, route.pins) : draft.proof,
    watched: held.name ? null : draft.watched,
    minVersion: held.version ? "TLSv1.3" : draft.minVersion,
    held,
    sources: [`held to what it proved last on ${day}: ${proven}`, ...draft.sources],
  };
}

/**
 * RFC 8689 §4.2.1: the way to the next hop's name and the hop itself must be authenticated, and it must promise the same; else
 * the message fails, it is never sent with less.
 */
function withRequireTls(draft: Draft, question: TlsQuestion): Draft | TlsRefusal {
  const { dane, sts, host, route } = question;
  const enforced = sts.kind === "policy" && sts.policy.mode === "enforce";
  if (dane.kind !== "records" && !enforced && !question.secureName) {
    const untold = policyNotHad(question);
    if (untold !== null) return untold;
    return requireTlsRefused(
      `nothing proves that ${host} is the domain's: no DNSSEC, and no MTA-STS policy in enforce mode`,
    );
  }
  const proof = draft.proof.kind === "nothing" ? nameProof(host, route, route.pins) : draft.proof;
  return { ...draft, tls: true, proof, watched: null, sources: ["REQUIRETLS of the message", ...draft.sources] };
}

/**
 * A lookup that failed, or a policy that is announced and could not be fetched: no step of RFC 8689 §4.2.1 failed for good, for the
 * policy may be there and name the host. The message goes nowhere with less, and comes back when its time is over.
 */
function policyNotHad({ sts, host, reported }: TlsQuestion): TlsRefusal | null {
  const unknown = sts.kind === "none" && sts.unknown === true ? sts.reason : null;
  const why = sts.failure === null ? unknown : `the policy that it announces cannot be had: ${sts.failure.detail}`;
  if (why === null) return null;
  const text = `the message demands REQUIRETLS, and whether ${host} is the domain's is not known: ${why}`;
  const told = sts.failure === null ? null : { policy: UNKNOWN_STS_POLICY, flaw: failureFlaw(sts.failure) };
  return refused(text, reported ? told : null);
}

function finish(draft: Draft, { implicit, requireTls, route, reported }: TlsQuestion): TlsRequirement {
  const { tls, proof, watched, serverName, minVersion, policy, flaw, held } = draft;
  const mode = implicit ? "implicit" : tls ? "required" : "opportunistic";
  return {
    mode,
    proof,
    watched,
    serverName,
    minVersion,
    requireTls,
    clientCertificate: route.clientCertificate,
    policy: reported ? policy : null,
    flaw: reported ? flaw : null,
    held,
    rule: `${levelOf(mode, proof)} (${draft.sources.join("; ")})`,
  };
}

function levelOf(mode: TlsRequirement["mode"], proof: TlsProof): TlsLevel {
  if (proof.kind === "dane") return "dane";
  if (proof.kind === "name") return "verified";
  return mode === "opportunistic" ? "opportunistic" : "encrypted";
}

function nameProof(host: string, { ca }: RouteDemand, pins: readonly string[]): TlsProof {
  return { kind: "name", names: [bare(host)], ca, pins };
}

/** RFC 6066 §3: no literal address in SNI. */
function sniOf(host: string): string | null {
  return host.startsWith("[") || isIP(host) !== 0 ? null : host;
}

/** An address literal as certificates name it. */
function bare(host: string): string {
  return host.replace(/^\[(?:IPv6:)?(.*)\]$/i, "$1");
}

function refused(text: string, told: TlsRefusal["told"]): TlsRefusal {
  return { kind: "deferred", problem: { text, reply: null, status: "4.7.5" }, told };
}

function requireTlsRefused(why: string): TlsRefusal {
  const text = `the message demands REQUIRETLS, and ${why}`;
  return { kind: "failed", problem: { text, reply: null, status: "5.7.30" }, told: null };
}
