import {
  clearTextRound,
  mailboxPath,
  nextHopOf,
  type Route,
  type RouteTable,
  type Survey,
  type SurveyContext,
  survey,
} from "../delivery/index.ts";
import { attemptTimes, type RetryException, type RetryRule, retryRulesFor } from "../queue/index.ts";
import { formatMailbox, type Mailbox } from "../smtp/index.ts";
import type { HostMemory, RememberedHost } from "../trust/index.ts";
import type {
  DemandReport,
  ExplainReport,
  HopReport,
  LocalReport,
  RefusalReport,
  RouteReport,
  TryReport,
} from "./explain-report.ts";
import { daneReport, stsReport } from "./probe-checks.ts";
import { recordLookups } from "./recorded-lookups.ts";

export interface ExplainContext extends Omit<SurveyContext, "sts"> {
  readonly routes: RouteTable;
  /** At MX hosts. */
  readonly port: number;
  /** Made over the resolver whose lookups are told. */
  sts(resolver: SurveyContext["resolver"]): SurveyContext["sts"];
  /** Where nothing demands TLS, clear text follows a failed handshake. */
  readonly clearAfterFailure: boolean;
  readonly retry: RetryRule;
  /** Where other waits count. Default: nowhere. */
  readonly exceptions?: readonly RetryException[];
  /** The line of the configuration with this domain or route; null where there is none. */
  lineOf(kind: "domain" | "route", name: string): number | null;
  /** Why a mailbox's folder could not be written; null where nothing stands against it. */
  folderProblem(path: string): string | null;
}

/**
 * Follows the way that mail to a mailbox would go, by the very functions that deliver it, up to the point where a connection would be
 * made. Never rejects.
 */
export async function explain(mailbox: Mailbox, context: ExplainContext): Promise<ExplainReport> {
  const route = context.routes.route(mailbox);
  const hop = nextHopOf(route, context.port);
  const resolver = recordLookups(context.resolver);
  const memory = recordMemory(context.memory);
  const asked: SurveyContext = { ...context, resolver, memory, sts: context.sts(resolver) };
  const found = hop === null ? null : await survey(hop, { requireTls: false, tlsOptional: false }, asked);
  const demanding =
    hop === null || route.kind === "local" ? null : await survey(hop, { requireTls: true, tlsOptional: false }, asked);
  const local = localReport(route, mailbox, context);
  const hosts =
    found === null || hop === null
      ? []
      : hopReports(found, demanding, {
          port: hop.port,
          recalled: memory?.recalled ?? new Map(),
          clearAfterFailure: context.clearAfterFailure,
        });
  const { deliverable, verdict, final } = conclude(route, local, found);
  return {
    address: formatMailbox(mailbox),
    route: routeReport(route, context),
    local,
    lookups: resolver.lookups,
    hostsSecure: found?.lookup.kind === "hosts" ? found.lookup.secure : null,
    mtaSts: found === null || route.kind !== "mx" ? null : stsReport(found.sts),
    hosts,
    ...(final ? { tries: [], triesAfter: [] } : triesReport(mailbox, context)),
    deliverable,
    verdict,
  };
}

function routeReport(route: Route, context: ExplainContext): RouteReport {
  switch (route.kind) {
    case "local":
    case "unknown": {
      const reason = `local domain ${route.domain}`;
      return { kind: route.kind, reason, line: context.lineOf("domain", route.domain), via: null, level: null };
    }
    case "none":
      return {
        kind: "none",
        reason: `${route.domain} is no domain that DNS knows`,
        line: null,
        via: null,
        level: null,
      };
    case "mx":
    case "relay": {
      const { level, reason } = route.demand;
      const match = /^route "(.*)"$/.exec(reason)?.[1];
      const line = match === undefined ? null : context.lineOf("route", match);
      return { kind: route.kind, reason, line, via: viaText(route), level };
    }
  }
}

function viaText(route: Extract<Route, { kind: "mx" | "relay" }>): string {
  if (route.kind === "mx") return "mx";
  const { kind, host, port } = route.via;
  return `${kind}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function localReport(route: Route, mailbox: Mailbox, context: ExplainContext): LocalReport | null {
  if (route.kind !== "local") return null;
  const { deliver } = route;
  switch (deliver.kind) {
    case "discard":
      return { kind: "discard", place: null, problem: null };
    case "lmtp":
      return { kind: "lmtp", place: `lmtp://${deliver.host}:${deliver.port}`, problem: null };
    case "maildir": {
      const path = mailboxPath(deliver.path, mailbox);
      const problem = path === null ? "the local part names no folder that may exist" : context.folderProblem(path);
      return { kind: "maildir", place: path, problem };
    }
  }
}

interface HopFacts {
  readonly port: number;
  readonly recalled: ReadonlyMap<string, RememberedHost>;
  readonly clearAfterFailure: boolean;
}

function hopReports(found: Survey, demanding: Survey | null, facts: HopFacts): readonly HopReport[] {
  const { port, recalled, clearAfterFailure } = facts;
  if (found.lookup.kind !== "hosts") return [];
  return found.lookup.hosts.map(({ name, addresses, secure }, at) => {
    const finding = found.dane[at];
    return {
      host: name,
      port,
      addresses,
      addressesSecure: secure,
      dane: daneReport(finding ?? { kind: "none", reason: "TLSA records are not asked for" }),
      remembered: rememberedReport(recalled.get(name.toLowerCase())),
      ...planned(found, name, clearAfterFailure),
      requireTls: demanding === null ? { demand: null, ruledOut: null } : planned(demanding, name, clearAfterFailure),
    };
  });
}

function rememberedReport(host: RememberedHost | undefined): HopReport["remembered"] {
  if (host === undefined) return null;
  const { tls, version, authenticated, provenAt } = host;
  return { tls, version, authenticated, provenAt: new Date(provenAt).toISOString() };
}

/** A memory that keeps whom it was asked about. Nothing is connected to, so that nothing else of it is used. */
function recordMemory(
  memory: HostMemory | null,
): (HostMemory & { readonly recalled: ReadonlyMap<string, RememberedHost> }) | null {
  if (memory === null) return null;
  const recalled = new Map<string, RememberedHost>();
  return {
    recalled,
    recall(domain, host) {
      const known = memory.recall(domain, host);
      if (known !== null) recalled.set(host, known);
      return known;
    },
    proved: (domain, host, proof) => memory.proved(domain, host, proof),
    fell: (domain, host) => memory.fell(domain, host),
    classicalOnly: (host) => memory.classicalOnly(host),
    rememberClassical: (host) => memory.rememberClassical(host),
  };
}

/** `clear`: the configuration lets clear text follow a failed handshake. */
function planned({ plan }: Survey, host: string, clear: boolean): Pick<HopReport, "demand" | "ruledOut"> {
  const attempt = plan.attempts.find((one) => one.host === host);
  const refusal = plan.ruledOut.find((one) => one.host === host);
  return {
    demand: attempt === undefined ? null : demandReport(attempt, clear),
    ruledOut: refusal === undefined ? null : refusalReport(refusal),
  };
}

function demandReport(attempt: Survey["plan"]["attempts"][number], clear: boolean): DemandReport {
  const { mode, proof, watched, serverName, minVersion, rule } = attempt.requirement;
  return {
    mode,
    proof: proof.kind,
    names: proof.kind === "nothing" ? [] : proof.names,
    watched: watched?.kind ?? null,
    clearAfterFailure: clear && clearTextRound([attempt]).length > 0,
    serverName,
    minVersion,
    rule,
  };
}

function refusalReport({ kind, problem }: Survey["plan"]["ruledOut"][number]): RefusalReport {
  return { kind, status: problem.status, text: problem.text };
}

/** After any trouble, and after replies that have rules of their own. */
function triesReport(
  { domain }: Mailbox,
  { retry, exceptions = [] }: ExplainContext,
): Pick<ExplainReport, "tries" | "triesAfter"> {
  const rules = retryRulesFor(retry, exceptions, domain);
  return {
    tries: retryTimes(rules.at(-1)?.rule ?? retry),
    triesAfter: rules.flatMap(({ reply, rule }) => (reply === null ? [] : [{ reply, tries: retryTimes(rule) }])),
  };
}

/** When a message would be tried, if no try came to anything (RFC 5321 §4.5.4.1). Chance is left out. */
export function retryTimes(rule: RetryRule): readonly TryReport[] {
  return attemptTimes(rule).map((time, before) => ({ attempt: before + 1, after: time / 1000 }));
}

interface Conclusion extends Pick<ExplainReport, "deliverable" | "verdict"> {
  /** It fails for good, so that no try follows the first. */
  readonly final: boolean;
}

function conclude(route: Route, local: LocalReport | null, found: Survey | null): Conclusion {
  const no = (verdict: string, final = false): Conclusion => ({ deliverable: false, verdict, final });
  const yes = (verdict: string): Conclusion => ({ deliverable: true, verdict, final: false });
  if (route.kind === "none") return no("refused: no domain that DNS knows", true);
  if (route.kind === "unknown") return no("refused: there is no such mailbox here", true);
  if (found === null) {
    if (local === null || local.problem !== null) return no(`waits: ${local?.problem ?? "there is nowhere to go"}`);
    return yes(local.place === null ? "thrown away, as configured" : `delivered here, to ${local.place}`);
  }
  const told = { deferred: "waits", failed: "returned at once" } as const;
  const { lookup, plan } = found;
  if (lookup.kind !== "hosts") return no(`${told[lookup.kind]}: ${lookup.problem.text}`, lookup.kind === "failed");
  const [first] = plan.attempts;
  if (first !== undefined) return yes(`first to ${first.host}: ${first.requirement.rule}`);
  // A host that may do later keeps the message waiting, whatever rules the others out.
  const out = plan.ruledOut.find(({ kind }) => kind === "deferred") ?? plan.ruledOut[0];
  return out === undefined
    ? no("waits: no host is known")
    : no(`${told[out.kind]}: ${out.problem.text}`, out.kind === "failed");
}
