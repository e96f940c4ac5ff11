import { DAY, HOUR, instant, MINUTE, SECOND } from "../../base/index.ts";
import type { LocalDomain, RouteRule } from "../../delivery/index.ts";
import type { RetryRule, RunnerLimits } from "../../queue/index.ts";
import type { StsPolicy } from "../../trust/index.ts";
import type { DnsEntry } from "../dns-zone.ts";
import type { Chance } from "./chance.ts";
import { drawRates, drawTroubledTime, type FaultRates } from "./faults.ts";
import type { Demand, HostOptions } from "./host.ts";
import type { NodeSettings } from "./node.ts";

/** When all worlds begin. */
export const START = instant(Date.UTC(2030, 0, 1));

/** A mail host of somebody else, as planned. */
export interface PlannedHost
  extends Pick<HostOptions, "name" | "address" | "port" | "protocol" | "offers" | "patience" | "chatty"> {
  readonly tls: boolean;
  readonly greylists: boolean;
  /** SHA-256 of its key. */
  readonly key: Uint8Array;
}

export interface PlannedDomain {
  readonly name: string;
  readonly demand: Demand;
  /** Mail for it can arrive once all is calm. */
  readonly reachable: boolean;
}

/** A world before anything happens in it; a seed gives one. */
export interface WorldPlan {
  readonly nodes: readonly Omit<NodeSettings, "tls">[];
  /** Nodes that offer STARTTLS, by name. */
  readonly secure: ReadonlySet<string>;
  readonly hosts: readonly PlannedHost[];
  readonly domains: readonly PlannedDomain[];
  readonly zone: Readonly<Record<string, DnsEntry>>;
  readonly policies: ReadonlyMap<string, StsPolicy>;
  readonly rates: FaultRates;
  /** From then on nothing goes wrong any more, milliseconds after the start. */
  readonly troubledFor: number;
  readonly messages: number;
}

export function drawPlan(chance: Chance): WorldPlan {
  const count = chance.whole(1, 4);
  const hosts = Array.from({ length: chance.whole(2, 6) }, (_, at) => drawHost(chance, at));
  const far = Array.from({ length: chance.whole(2, 6) }, (_, at) => drawDomain(chance, `far${at}.test`, hosts));
  const rules = drawRules(chance);
  const zone: Record<string, DnsEntry> = { "null.test": { mx: [{ preference: 0, exchange: "" }] } };
  if (chance.is(0.2)) zone["dead.test"] = { a: ["10.3.0.1"] };
  for (const { name, address } of hosts) zone[name] = { a: [address] };
  const policies = new Map<string, StsPolicy>();
  for (const domain of far) publish(domain, { zone, policies, chance });
  const nodes = Array.from({ length: count }, (_, at) => {
    const routes = [...relayRoutes(chance, at, count, far), ...far.flatMap(({ route }) => route)];
    zone[`mx${at}.nodes.test`] = { a: [`10.0.0.${at + 1}`] };
    zone[`local${at}.test`] = { mx: [{ preference: 10, exchange: `mx${at}.nodes.test` }] };
    return drawNode(chance, at, rules, routes);
  });
  const own = nodes.map((_, at) => ({ name: `local${at}.test`, demand: "nothing" as const, reachable: true }));
  const nowhere = ["void.test", "null.test", ...("dead.test" in zone ? ["dead.test"] : [])];
  return {
    nodes,
    secure: new Set(nodes.filter(() => chance.is(0.6)).map(({ name }) => name)),
    hosts: [...hosts, ...nodes.map((_, at) => mailboxHost(chance, at))],
    domains: [
      ...own,
      ...far.map(({ name, demand }) => ({ name, demand, reachable: true })),
      ...nowhere.map((name) => ({ name, demand: "nothing" as const, reachable: false })),
    ],
    zone,
    policies,
    rates: drawRates(chance),
    troubledFor: drawTroubledTime(chance),
    messages: chance.whole(20, chance.is(0.25) ? 250 : 60),
  };
}

function drawHost(chance: Chance, at: number): PlannedHost {
  return {
    name: `mail${at}.hosts.test`,
    address: `10.1.0.${at + 1}`,
    port: 25,
    protocol: "smtp",
    offers: drawOffers(chance),
    patience: chance.pick([2, 20, 300]) * SECOND,
    chatty: chance.is(0.2),
    tls: chance.is(0.8),
    greylists: chance.is(0.2),
    key: new Uint8Array(32).fill(at + 1),
  };
}

/** Where the mailboxes of a node are. */
function mailboxHost(chance: Chance, at: number): PlannedHost {
  return {
    name: `box${at}.hosts.test`,
    address: `10.2.0.${at + 1}`,
    port: 24,
    protocol: "lmtp",
    offers: { ...drawOffers(chance), eightBit: true },
    patience: 20 * SECOND,
    chatty: false,
    tls: false,
    greylists: false,
    key: new Uint8Array(32),
  };
}

function drawOffers(chance: Chance): HostOptions["offers"] {
  return {
    pipelining: chance.is(0.7),
    eightBit: chance.is(0.8),
    chunking: chance.is(0.5),
    dsn: chance.is(0.5),
    requireTls: chance.is(0.5),
    rcptMax: chance.is(0.2) ? chance.whole(1, 5) : null,
    mailMax: chance.is(0.2) ? chance.whole(1, 3) : null,
  };
}

interface DrawnDomain {
  readonly name: string;
  readonly kind: "plain" | "encrypted" | "verified" | "dane" | "sts" | "off";
  readonly demand: Demand;
  readonly hosts: readonly PlannedHost[];
  readonly route: readonly RouteRule[];
}

const DEMANDS = {
  plain: "nothing",
  off: "nothing",
  encrypted: "tls",
  verified: "proof",
  dane: "proof",
  sts: "proof",
} as const;

function drawDomain(chance: Chance, name: string, hosts: readonly PlannedHost[]): DrawnDomain {
  const able = hosts.filter(({ tls }) => tls);
  const kind =
    able.length === 0
      ? "plain"
      : chance.pick(["plain", "plain", "encrypted", "verified", "dane", "sts", "off"] as const);
  const demand = DEMANDS[kind];
  const level = kind === "encrypted" || kind === "verified" || kind === "off" ? kind : null;
  const route: readonly RouteRule[] = level === null ? [] : [{ match: name, via: { kind: "mx" }, tls: level }];
  const chosen = chance.some(demand === "nothing" ? hosts : able, chance.whole(1, 3));
  return { name, kind, demand, hosts: chosen, route };
}

interface Published {
  readonly zone: Record<string, DnsEntry>;
  readonly policies: Map<string, StsPolicy>;
  readonly chance: Chance;
}

function publish({ name, kind, hosts }: DrawnDomain, { zone, policies, chance }: Published): void {
  const secure = kind === "dane";
  zone[name] = { mx: hosts.map((host) => ({ preference: chance.pick([10, 20]), exchange: host.name })), secure };
  if (kind === "sts") policies.set(name, stsPolicy(name, hosts));
  if (!secure) return;
  for (const { name: host, address, key } of hosts) {
    zone[host] = { a: [address], secure: true };
    zone[`_25._tcp.${host}`] = { tlsa: [{ usage: 3, selector: 1, matchingType: 1, data: key }], secure: true };
  }
}

function stsPolicy(domain: string, hosts: readonly PlannedHost[]): StsPolicy {
  return {
    domain,
    id: "1",
    mode: "enforce",
    mx: hosts.map(({ name }) => name),
    lines: ["version: STSv1", "mode: enforce"],
    fetchedAt: START,
    expiresAt: instant(START + 365 * DAY),
  };
}

/** Some nodes hand mail for some domains to a node behind them; never in a circle. */
function relayRoutes(chance: Chance, at: number, count: number, far: readonly DrawnDomain[]): RouteRule[] {
  if (at + 1 >= count || !chance.is(0.5)) return [];
  const host = `mx${chance.whole(at + 1, count - 1)}.nodes.test`;
  return chance.some(far, 2).map(({ name }) => ({ match: name, via: { kind: "smtp", host, port: 25 } }));
}

function drawRules(chance: Chance): RetryRule {
  const first = chance.pick([1, 5]) * MINUTE;
  return {
    first,
    longest: chance.pick([10 * MINUTE, 4000 * 1000]),
    spread: 0.1,
    giveUpAfter: chance.pick([HOUR, 2 * HOUR, 6 * HOUR]),
    warnAfter: chance.pick([30 * MINUTE, 2 * HOUR]),
  };
}

function drawLimits(chance: Chance): RunnerLimits {
  const destinationMost = chance.whole(1, 20);
  return {
    total: chance.pick([3, 20, 200]),
    destinationStart: Math.min(5, destinationMost),
    destinationMost,
    memory: chance.pick([0, 20_000, 64 * 1024 * 1024]),
    window: chance.pick([20, 10_000]),
    domainWindow: chance.pick([5, 2000]),
  };
}

function drawNode(
  chance: Chance,
  at: number,
  rules: RetryRule,
  routes: readonly RouteRule[],
): Omit<NodeSettings, "tls"> {
  const deliver: LocalDomain["deliver"] = { kind: "lmtp", host: `10.2.0.${at + 1}`, port: 24 };
  return {
    name: `node${at}`,
    hostname: `mx${at}.nodes.test`,
    address: `10.0.0.${at + 1}`,
    domains: [{ name: `local${at}.test`, deliver, ...(chance.is(0.3) ? { recipients: ["u0", "u1", "u2"] } : {}) }],
    routes,
    rules,
    limits: drawLimits(chance),
    serverLimits: chance.is(0.2) ? { connectionsPerAddress: 3 } : {},
    memory: chance.is(0.2) ? HOUR : null,
    clearTextAfterTlsFailure: chance.is(0.3),
    chunking: chance.pick(["auto", "never"]),
    greetingDelay: chance.is(0.2) ? 500 : 0,
  };
}
