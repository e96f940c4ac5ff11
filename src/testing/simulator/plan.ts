import { DAY, HOUR, instant, MINUTE, SECOND } from "../../base/index.ts";
import { formatStsPolicy } from "../../trust/index.ts";
import type { DnsEntry } from "../dns-zone.ts";
import type { Chance } from "./chance.ts";
import type { HostLimit, NodeSettings } from "./configuration.ts";
import { drawRates, drawTroubledTime, type FaultRates } from "./faults.ts";
import type { Demand, HostOptions } from "./host.ts";

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
  readonly nodes: readonly NodeSettings[];
  readonly hosts: readonly PlannedHost[];
  readonly domains: readonly PlannedDomain[];
  readonly zone: Readonly<Record<string, DnsEntry>>;
  /** MTA-STS policies as they are served, by domain. */
  readonly policies: ReadonlyMap<string, string>;
  readonly rates: FaultRates;
  /** From then on nothing goes wrong any more, milliseconds after the start. */
  readonly troubledFor: number;
  readonly messages: number;
}

export function drawPlan(chance: Chance): WorldPlan {
  const count = chance.whole(1, 4);
  const hosts = Array.from({ length: chance.whole(2, 6) }, (_, at) => drawHost(chance, at));
  const far = Array.from({ length: chance.whole(2, 6) }, (_, at) => drawDomain(chance, `far${at}.test`, hosts));
  const waits = drawWaits(chance);
  const zone: Record<string, DnsEntry> = { "null.test": { mx: [{ preference: 0, exchange: "" }] } };
  if (chance.is(0.2)) zone["dead.test"] = { a: ["10.3.0.1"] };
  for (const { name, address } of hosts) zone[name] = { a: [address] };
  const policies = new Map<string, string>();
  for (const domain of far) publish(domain, { zone, policies, chance });
  const nodes = Array.from({ length: count }, (_, at) => {
    const routes = [...relayRoutes(chance, at, count, far), ...far.flatMap(({ route }) => route)].filter(isFirst);
    zone[`mx${at}.nodes.test`] = { a: [`10.0.0.${at + 1}`] };
    zone[`local${at}.test`] = { mx: [{ preference: 10, exchange: `mx${at}.nodes.test` }] };
    return drawNode(chance, at, { waits, routes, names: [...hosts, ...far].map(({ name }) => name) });
  });
  const own = nodes.map((_, at) => ({ name: `local${at}.test`, demand: "nothing" as const, reachable: true }));
  const nowhere = ["void.test", "null.test", ...("dead.test" in zone ? ["dead.test"] : [])];
  return {
    nodes,
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
  readonly route: NodeSettings["routes"];
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
  const route: NodeSettings["routes"] = level === null ? [] : [{ match: name, via: { kind: "mx" }, tls: level }];
  const chosen = chance.some(demand === "nothing" ? hosts : able, chance.whole(1, 3));
  return { name, kind, demand, hosts: chosen, route };
}

interface Published {
  readonly zone: Record<string, DnsEntry>;
  readonly policies: Map<string, string>;
  readonly chance: Chance;
}

function publish({ name, kind, hosts }: DrawnDomain, { zone, policies, chance }: Published): void {
  const secure = kind === "dane";
  zone[name] = { mx: hosts.map((host) => ({ preference: chance.pick([10, 20]), exchange: host.name })), secure };
  if (kind === "sts") {
    zone[`_mta-sts.${name}`] = { txt: ["v=STSv1; id=1;"] };
    policies.set(name, formatStsPolicy({ mode: "enforce", mx: hosts.map((host) => host.name), maxAge: 365 * DAY }));
  }
  if (!secure) return;
  for (const { name: host, address, key } of hosts) {
    zone[host] = { a: [address], secure: true };
    zone[`_25._tcp.${host}`] = { tlsa: [{ usage: 3, selector: 1, matchingType: 1, data: key }], secure: true };
  }
}

/** Some nodes hand mail for some domains to a node behind them; never in a circle. */
function relayRoutes(chance: Chance, at: number, count: number, far: readonly DrawnDomain[]): NodeSettings["routes"] {
  if (at + 1 >= count || !chance.is(0.5)) return [];
  const host = `mx${chance.whole(at + 1, count - 1)}.nodes.test`;
  return chance.some(far, 2).map(({ name }) => ({ match: name, via: { kind: "smtp", host, port: 25 } }));
}

/** The first match wins; the product has operators remove the others. */
function isFirst({ match }: NodeSettings["routes"][number], at: number, all: NodeSettings["routes"]): boolean {
  return all.findIndex((other) => other.match === match) === at;
}

function drawWaits(chance: Chance): NodeSettings["waits"] {
  const first = chance.pick([1, 5]) * MINUTE;
  return {
    first,
    longest: chance.pick([10 * MINUTE, 4000 * SECOND]),
    giveUpAfter: chance.pick([HOUR, 2 * HOUR, 6 * HOUR]),
    warnAfter: chance.pick([30 * MINUTE, 2 * HOUR]),
  };
}

/** For one of the hosts or domains named, or for all. */
function drawLimit(chance: Chance, names: readonly string[]): HostLimit {
  return {
    match: chance.is(0.2) ? "*" : chance.pick(names),
    messagesPerMinute: chance.is(0.5) ? chance.whole(20, 120) : null,
    connections: chance.whole(1, 3),
    messagesPerConnection: chance.is(0.5) ? chance.whole(1, 4) : null,
  };
}

interface NodePlan extends Pick<NodeSettings, "waits" | "routes"> {
  /** What may be limited. */
  readonly names: readonly string[];
}

function drawNode(chance: Chance, at: number, { waits, routes, names }: NodePlan): NodeSettings {
  return {
    name: `node${at}`,
    hostname: `mx${at}.nodes.test`,
    address: `10.0.0.${at + 1}`,
    secure: chance.is(0.6),
    domain: {
      name: `local${at}.test`,
      lmtp: `10.2.0.${at + 1}:24`,
      recipients: chance.is(0.3) ? ["u0", "u1", "u2"] : [],
    },
    routes,
    waits,
    concurrency: chance.pick([3, 20, 200]),
    destinationConcurrency: chance.whole(1, 20),
    memory: chance.pick([1, 20_000, 64 * 1024 * 1024]),
    connectionsPerAddress: chance.is(0.2) ? 3 : 50,
    limits: chance.is(0.3) ? [drawLimit(chance, names)] : [],
    downgradeHold: chance.is(0.2) ? HOUR : 0,
    afterTlsFailure: chance.is(0.3) ? "clear" : "defer",
    chunking: chance.pick(["auto", "never"]),
    eightBit: chance.pick(["bounce", "convert"]),
    windows: { window: chance.pick([20, 10_000]), domainWindow: chance.pick([5, 2000]) },
  };
}
