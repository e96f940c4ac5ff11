import { HOUR, type Instant, later, MINUTE, SECOND } from "../../base/index.ts";
import { fakeResolver } from "../fake-resolver.ts";
import { Chance } from "./chance.ts";
import type { HostLimit, NodeSettings } from "./configuration.ts";
import { SimulatedDisk } from "./disk.ts";
import { Faults } from "./faults.ts";
import { type Demand, SimulatedHost } from "./host.ts";
import { HostBurden } from "./host-burden.ts";
import { checkTaken } from "./intake-rules.ts";
import { Ledger } from "./ledger.ts";
import type { Cut } from "./link.ts";
import type { LinkEnd } from "./link-end.ts";
import { clockOf, Life, VirtualLoop } from "./loop.ts";
import { SimulatedNetwork } from "./network.ts";
import { type NodeWorld, SimulatedNode } from "./node.ts";
import { drawPlan, type PlannedHost, START, type WorldPlan } from "./plan.ts";
import { PolicyHosts } from "./policy-hosts.ts";
import { drawSubmission, handIn, type SenderWorld } from "./sender.ts";
import type { SimulatedCertificate } from "./tls.ts";
import { Trace } from "./trace.ts";
import { simulatedResolver } from "./zone.ts";

/** Everything of one run. */
export class World {
  readonly plan: WorldPlan;
  readonly chance: Chance;
  readonly loop: VirtualLoop;
  readonly trace: Trace;
  readonly ledger: Ledger;
  readonly faults: Faults;
  readonly network: SimulatedNetwork;
  readonly nodes: readonly SimulatedNode[];
  readonly calmAt: Instant;
  readonly #zone: ReturnType<typeof fakeResolver>;
  readonly #demands: ReadonlyMap<string, WorldPlan["domains"][number]["demand"]>;
  readonly #policyHosts: PolicyHosts;
  readonly #skews = new Map<string, number>();

  constructor(seed: number) {
    this.chance = new Chance(seed);
    this.plan = drawPlan(this.chance);
    const { plan, chance } = this;
    this.calmAt = later(START, plan.troubledFor);
    this.loop = new VirtualLoop(START, (error) => this.#threw(error));
    const { loop } = this;
    this.trace = new Trace(() => loop.now);
    this.ledger = new Ledger(new Map(plan.nodes.map(({ hostname, name }) => [hostname, name])), () => loop.now);
    this.faults = new Faults({ rates: plan.rates, chance, now: () => loop.now, calmAt: this.calmAt });
    this.network = new SimulatedNetwork({ loop, chance, weather: this.faults, trace: this.trace });
    this.#zone = fakeResolver(plan.zone);
    this.#policyHosts = new PolicyHosts({ policies: plan.policies, loop, fate: () => this.faults.policyFetch() });
    this.#demands = new Map(plan.domains.map(({ name, demand }) => [name, demand]));
    for (const host of plan.hosts) this.#addHost(host);
    this.nodes = plan.nodes.map((settings) => this.#createNode(settings));
  }

  /** Puts all that will happen on the calendar, and starts the nodes. */
  begin(): void {
    for (const node of this.nodes) {
      void node.start();
      this.#planTroubles(node);
    }
    for (const { address } of [...this.plan.hosts, ...this.plan.nodes]) this.#planOutages(address);
    this.#planMail();
    this.loop.after(this.plan.troubledFor, () => this.#calmDown());
  }

  /** Messages still in queues. */
  async waiting(): Promise<number> {
    let count = 0;
    for (const node of this.nodes) count += (await node.disk.messages()).length;
    return count;
  }

  #threw(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.ledger.breach("nothing is thrown", text.split("\n").slice(0, 4).join(" | "));
  }

  #createNode(settings: NodeSettings): SimulatedNode {
    const { loop, chance, ledger, trace, network, faults } = this;
    const { name } = settings;
    const skew = () => this.#skews.get(name) ?? 0;
    const disk = new SimulatedDisk({
      loop,
      chance,
      clock: clockOf(loop, new Life(), skew),
      fate: (writes) => faults.disk(writes),
      moment: () => {
        if (faults.strikes("crashesAtCommit")) this.#crash(node);
      },
      count: (kind) => faults.count(kind),
      witness: {
        kept: (message, body) => {
          trace.note(name, "kept", message.id);
          checkTaken(ledger.kept(name, message, body), settings, ledger);
        },
        settled: (before, settlement, reported) => {
          trace.note(name, "settled", before.id);
          ledger.settled(name, before, settlement, reported);
        },
        removed: (id) => ledger.removed(name, id),
      },
    });
    const certificate = goodCertificate(settings.hostname, new Uint8Array(32));
    const world: NodeWorld = {
      loop,
      network,
      ledger,
      trace,
      skew,
      resolver: (life, signal) =>
        simulatedResolver({ zone: this.#zone, loop, life, signal, fate: () => faults.lookup() }),
      stsFetch: (life) => this.#policyHosts.fetcher(settings.address, life),
      tls: { certificate: () => certificate, manner: () => faults.handshake() },
      freeSpace: () => (faults.strikes("fullDisks") ? 0 : Number.POSITIVE_INFINITY),
      random: () => chance.fork(),
    };
    const node = new SimulatedNode(settings, disk, world);
    return node;
  }

  #addHost(plan: PlannedHost): void {
    const { tls, greylists, key, ...planned } = plan;
    const { faults, loop, ledger } = this;
    const life = new Life();
    const good = goodCertificate(planned.name, key);
    const bad = { names: ["wrong.test"], trusted: false, expired: false, key: new Uint8Array(32).fill(255) };
    const host = new SimulatedHost({
      options: {
        ...planned,
        tls: tls
          ? { certificate: () => (faults.strikes("wrongCertificates") ? bad : good), manner: () => faults.handshake() }
          : null,
        showsTls: () => !faults.strikes("strippedTls"),
        proves: (certificate) => certificate === good,
        demand: (domain, by) => this.#demanded(domain, by),
        requiresTls: (token) => ledger.submissions.get(token)?.requireTls === true,
        move: (stage, argument) => faults.host(stage, argument, greylists),
        burden: new HostBurden({
          name: planned.name,
          ledger,
          limitOf: (from) => this.#limitOf(from, plan),
          calmFor: () => loop.now - this.calmAt,
        }),
      },
      loop,
      life,
      ledger,
    });
    const { address, port } = planned;
    this.network.listen({ address, port, life, onStream: (stream) => host.serve(stream) });
  }

  /** What the node at an address may burden a host with. Mailboxes are reached by their address. */
  #limitOf(from: string, { protocol, name, address }: PlannedHost): HostLimit | null {
    const node = this.plan.nodes.find((each) => each.address === from);
    const known = protocol === "lmtp" ? address : name;
    return node?.limits.find(({ match }) => match === "*" || match === known) ?? null;
  }

  /** Of mail for a domain that comes by this end. */
  #demanded(domain: string, by: LinkEnd): Demand {
    const { lookups, policyFetches } = this.plan.rates;
    const isPublished = this.plan.policies.has(domain) && lookups + policyFetches > 0;
    // Where neither DNS nor policy hosts ever fail, nobody has an excuse.
    const known = !isPublished || this.#policyHosts.isKnown(domain, by);
    return known ? (this.#demands.get(domain) ?? "nothing") : "nothing";
  }

  /** At some moment while things go wrong. */
  #sometime(): number {
    return this.chance.between(0, this.plan.troubledFor);
  }

  #crash(node: SimulatedNode): void {
    const heard: Cut["heard"] = this.chance.pick(["both", "both", "none"]);
    node.crash(heard);
    this.loop.after(this.chance.whole(100, 10 * MINUTE), () => void node.start());
  }

  #planTroubles(node: SimulatedNode): void {
    const { rates } = this.plan;
    const { loop, faults } = this;
    const plan = (kind: "crashes" | "stops" | "clockJumps" | "operations" | "reloads", action: () => void): void => {
      for (let n = 0; n < rates[kind]; n++) {
        loop.after(this.#sometime(), () => {
          if (faults.calm) return;
          faults.count(kind);
          action();
        });
      }
    };
    plan("crashes", () => this.#crash(node));
    plan("stops", () => {
      void node.stop().then(() => loop.after(30 * SECOND, () => void node.start()));
    });
    plan("clockJumps", () => {
      const { name } = node.settings;
      const by = this.chance.whole(-HOUR / 2, HOUR / 2);
      this.trace.note(name, "clock", String(by));
      this.#skews.set(name, (this.#skews.get(name) ?? 0) + by);
    });
    plan("reloads", () => node.reload());
    plan("operations", () => void this.#operate(node));
  }

  #planOutages(address: string): void {
    for (let n = 0; n < this.plan.rates.outages; n++) {
      if (!this.chance.is(0.3)) continue;
      this.loop.after(this.#sometime(), () => {
        this.trace.note("net", "outage", address);
        this.faults.takeOut(address, this.loop.now + this.chance.between(MINUTE, HOUR));
        this.network.cut(address, "none");
      });
    }
  }

  /** What an operator may do to a message. */
  async #operate(node: SimulatedNode): Promise<void> {
    const { program } = node;
    if (program === null) return;
    const messages = await node.disk.messages();
    if (messages.length === 0) return;
    const { id } = this.chance.pick(messages);
    const deed = this.chance.pick(["hold", "hold", "release", "retry", "remove"] as const);
    this.trace.note(node.settings.name, deed, id);
    // What the disk refuses the operator is told; nothing has changed then.
    await program.operations.act(deed, { id }).catch(() => null);
  }

  #planMail(): void {
    const { plan, chance, network, ledger, loop, trace } = this;
    const life = new Life();
    const world: SenderWorld = {
      chance,
      network,
      ledger,
      life,
      clock: clockOf(loop, life),
      log: trace.log("sender"),
      domains: plan.domains.map(({ name }) => name),
    };
    for (let n = 0; n < plan.messages; ) {
      const { name, address, secure } = chance.pick(plan.nodes);
      const together = Math.min(plan.messages - n, chance.is(0.3) ? chance.whole(1, 10) : 1);
      const first = n;
      n += together;
      loop.after(this.#sometime(), () => {
        const other = chance.is(0.15) ? "outsider" : "relay";
        const from = !secure || chance.is(0.6) ? other : chance.is(0.9) ? "user" : "stranger";
        const messages = Array.from({ length: together }, (_, i) =>
          drawSubmission(`m${first + i}`, { node: name, from }, world),
        );
        void handIn({ node: name, address }, messages, world);
      });
    }
  }

  #calmDown(): void {
    this.trace.note("world", "calm");
    for (const node of this.nodes) void node.start();
  }
}

function goodCertificate(name: string, key: Uint8Array): SimulatedCertificate {
  return { names: [name], trusted: true, expired: false, key };
}
