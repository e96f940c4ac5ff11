import type { Result } from "../base/index.ts";
import {
  type ClearStream,
  type NetProblem,
  ServerTls,
  type ServerTlsOptions,
  type Stream,
  upgradeServer,
} from "../net/index.ts";

/** Runs a handshake; `stream` is consumed. */
export type Upgrade = (stream: ClearStream) => Promise<Result<Stream, NetProblem>>;

/** Certificates, or a handshake of your own in place of Node's (a simulated one, for tests). */
export type ServiceTls = ServerTls | ServerTlsOptions | Upgrade;

/** How TLS begins on each service: by the server's certificates, or by its own, which are made ready at its first use. */
export class Upgrades {
  readonly #general: Upgrade | null;
  readonly #handshake: number;
  readonly #own = new WeakMap<ServiceTls, Upgrade | null>();

  /** `handshake`: how long one may take, ms. Throws on certificates that cannot be read. */
  constructor(tls: ServiceTls | undefined, handshake: number) {
    this.#handshake = handshake;
    this.#general = this.#make(tls);
  }

  /** Null where there is no certificate. Throws on one that cannot be read. */
  of(own: ServiceTls | undefined): Upgrade | null {
    if (own === undefined) return this.#general;
    const known = this.#own.get(own);
    if (known !== undefined) return known;
    const made = this.#make(own);
    this.#own.set(own, made);
    return made;
  }

  #make(tls: ServiceTls | undefined): Upgrade | null {
    if (tls === undefined) return null;
    if (typeof tls === "function") return tls;
    if (tls instanceof ServerTls) return (stream) => upgradeServer(stream, tls, this.#handshake);
    const created = ServerTls.create(tls);
    if (!created.ok) throw new TypeError(created.error);
    return (stream) => upgradeServer(stream, created.value, this.#handshake);
  }
}
