import { err, ok, type Result } from "../../base/index.ts";
import type { ClearStream, ConnectOptions, Endpoint, Listener, ListenOptions, NetProblem } from "../../net/index.ts";
import type { Chance } from "./chance.ts";
import { type Cut, Link, type LinkConditions } from "./link.ts";
import { ClearLinkStream } from "./link-stream.ts";
import type { Life, VirtualLoop } from "./loop.ts";
import type { Trace } from "./trace.ts";

/** What becomes of an attempt to connect. */
export type ConnectFate = "connected" | "refused" | "unreachable" | "silence";

/** How the network behaves; asked for each connection. */
export interface Weather {
  fate(from: string, to: Endpoint): ConnectFate;
  conditions(from: string, to: Endpoint): LinkConditions;
  /** Told of what happened to a connection. */
  count(kind: string): void;
}

/** Who listens. */
export interface SimulatedListener {
  readonly address: string;
  readonly port: number;
  readonly life: Life;
  readonly onStream: (stream: ClearLinkStream) => void;
}

/** All that one machine sends to another: the octets of one connection that arrive last of all sent until now. */
interface Way {
  last: { readonly link: Link; readonly at: number } | null;
}

const FIRST_PORT = 32_768;

/** All machines of a world, and the connections between them. */
export class SimulatedNetwork {
  readonly #loop: VirtualLoop;
  readonly #chance: Chance;
  readonly #weather: Weather;
  readonly #trace: Trace;
  readonly #listeners = new Map<string, SimulatedListener>();
  readonly #links = new Set<Link>();
  /** From one machine to another. */
  readonly #ways = new Map<string, Way>();
  #ports = FIRST_PORT;

  constructor(parts: {
    readonly loop: VirtualLoop;
    readonly chance: Chance;
    readonly weather: Weather;
    readonly trace: Trace;
  }) {
    this.#loop = parts.loop;
    this.#chance = parts.chance;
    this.#weather = parts.weather;
    this.#trace = parts.trace;
  }

  /** Ends at `address` that are not gone. */
  openAt(address: string): number {
    let open = 0;
    for (const { near, far } of this.#links) {
      for (const end of [near, far]) if (!end.gone && end.local.address === address) open++;
    }
    return open;
  }

  /** Until the end of its life, or until what is returned is called. */
  listen(listener: SimulatedListener): () => void {
    const key = keyOf(listener);
    this.#listeners.set(key, listener);
    const close = (): void => {
      if (this.#listeners.get(key) === listener) this.#listeners.delete(key);
    };
    listener.life.onEnd(close);
    return close;
  }

  /** Opens listeners, with the port that `net`'s `listen` has. `watch` sees each connection first. */
  listening(
    life: Life,
    watch: (stream: ClearLinkStream) => void,
  ): (options: ListenOptions) => Promise<Result<Listener, NetProblem>> {
    return async ({ address, port, onStream }) => {
      const close = this.listen({
        address,
        port,
        life,
        onStream: (stream) => {
          watch(stream);
          onStream(stream);
        },
      });
      return ok({ local: { address, port }, close: async () => close() });
    };
  }

  /** Opens connections from `address`, with the port that `net`'s `connect` has. Addresses are tried one after the other. */
  connector(address: string, life: Life): (options: ConnectOptions) => Promise<Result<ClearStream, NetProblem>> {
    return async ({ addresses, port, timeout, signal }) => {
      const aborted: NetProblem = { kind: "aborted", detail: "aborted" };
      let problem: NetProblem = { kind: "other", detail: "no address was given" };
      const isAborted = (): boolean => signal?.aborted === true;
      for (const to of addresses) {
        if (isAborted()) return err(aborted);
        const tried = await this.#attempt(address, life, { address: to, port }, timeout);
        if (tried.ok && isAborted()) {
          tried.value.destroy();
          return err(aborted);
        }
        if (tried.ok) return tried;
        problem = tried.error;
      }
      return err(problem);
    };
  }

  /** Breaks the connections that have an end at `address`. */
  cut(address: string, heard: Cut["heard"]): void {
    for (const link of [...this.#links]) {
      if (link.near.local.address === address || link.far.local.address === address) link.cut(heard);
    }
  }

  #way(from: string, to: string): Way {
    const key = `${from} ${to}`;
    const known = this.#ways.get(key);
    if (known !== undefined) return known;
    const way: Way = { last: null };
    this.#ways.set(key, way);
    return way;
  }

  /** Within a connection octets keep their order; those of a later one may pass by. */
  #sent(way: Way, link: Link, at: number): void {
    const { last } = way;
    if (last === null || at >= last.at) way.last = { link, at };
    else if (last.link.openedAt < link.openedAt) this.#weather.count("overtaking");
  }

  #attempt(from: string, life: Life, to: Endpoint, timeout: number): Promise<Result<ClearLinkStream, NetProblem>> {
    const listener = this.#listeners.get(keyOf(to));
    const fate = this.#weather.fate(from, to);
    const conditions = this.#weather.conditions(from, to);
    const round = 2 * conditions.delay;
    const where = `${to.address}:${to.port}`;
    return new Promise((resolve) => {
      const later = (delay: number, action: () => void): void => {
        this.#loop.after(delay, () => {
          if (life.alive) action();
        });
      };
      const fail = (delay: number, kind: NetProblem["kind"]): void =>
        later(delay, () => resolve(err({ kind, detail: `${where}: ${kind}` })));
      if (fate === "silence" || round > timeout) return fail(timeout, "timeout");
      if (fate === "unreachable") return fail(round, "unreachable");
      if (fate === "refused" || listener === undefined) return fail(round, "refused");
      later(round, () => {
        if (this.#listeners.get(keyOf(to)) !== listener) {
          return resolve(err({ kind: "refused", detail: `${where}: refused` }));
        }
        resolve(ok(this.#open(from, life, listener, conditions)));
      });
    });
  }

  #open(from: string, life: Life, listener: SimulatedListener, conditions: LinkConditions): ClearLinkStream {
    this.#ports = this.#ports === 65_535 ? FIRST_PORT : this.#ports + 1;
    const near = { address: from, port: this.#ports };
    const far = { address: listener.address, port: listener.port };
    const out = this.#way(from, listener.address);
    const back = this.#way(listener.address, from);
    const link: Link = new Link(
      {
        loop: this.#loop,
        chance: this.#chance,
        conditions,
        sent: (sender, arrival) => this.#sent(sender === link.near ? out : back, link, arrival),
        broke: (heard) => this.#weather.count(`cuts, heard by ${heard}`),
        over: () => this.#links.delete(link),
      },
      { end: near, life },
      { end: far, life: listener.life },
    );
    this.#links.add(link);
    const { cut } = conditions;
    const fault = cut === null ? "" : ` cut ${cut.way} after ${cut.octets}, heard by ${cut.heard}`;
    this.#trace.note("net", "connected", `${from}:${near.port} ${far.address}:${far.port}${fault}`);
    listener.onStream(new ClearLinkStream(link.far));
    return new ClearLinkStream(link.near);
  }
}

function keyOf({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}
