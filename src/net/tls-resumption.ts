import type { TLSSocket } from "node:tls";
import type { Instant } from "../base/index.ts";
import { judge, type PeerDemand, type ShownCertificates } from "./peer-demand.ts";
import type { KeptSession, TlsSessions } from "./tls-sessions.ts";

/** Most tickets come behind the handshake, with the first octets of the server; some of TLS 1.2 come within it. */
const MOST_EARLY = 4;

/** The part that kept sessions play in one handshake: which is offered, and which come of it. */
export class Resumption {
  /** Null for a full handshake. */
  readonly offered: KeptSession | null;
  readonly #sessions: TlsSessions;
  readonly #key: string;
  #early: Buffer[] = [];
  #proven: Omit<KeptSession, "session"> | null = null;

  /** `key` holds all that two handshakes must have in common for one to resume the other. */
  constructor(sessions: TlsSessions, key: string, demand: PeerDemand) {
    this.#sessions = sessions;
    this.#key = key;
    const kept = sessions.take(key);
    this.offered = kept !== null && stillProves(demand, kept, sessions.now()) ? kept : null;
  }

  now(): Instant {
    return this.#sessions.now();
  }

  /** To be called before the socket can have read anything. */
  listen(socket: TLSSocket): void {
    socket.on("session", (session: Buffer) => {
      if (this.#proven !== null) this.#sessions.keep(this.#key, { ...this.#proven, session });
      else if (this.#early.length < MOST_EARLY) this.#early.push(session);
    });
  }

  /** The handshake stands and its server has proven what was demanded: what it offers from now on is worth keeping. */
  proven(shown: ShownCertificates, provenAt: Instant, version: string | null): void {
    const { chain, pathProblem } = shown;
    this.#proven = { chain, pathProblem, provenAt, once: version === "TLSv1.3" };
    for (const session of this.#early) this.#sessions.keep(this.#key, { ...this.#proven, session });
    this.#early = [];
  }

  /** The handshake came to nothing. True when the session offered may be why, and is forgotten with its like. */
  failed(): boolean {
    if (this.offered === null) return false;
    this.#sessions.forget(this.#key);
    return true;
  }
}

/** What OpenSSL found of the way to an authority stands no longer than the certificates do; the rest is looked at anew. */
function stillProves(demand: PeerDemand, kept: KeptSession, now: Instant): boolean {
  if (demand.kind === "nothing") return true;
  if (demand.kind === "name" && kept.chain.some(({ validToDate }) => validToDate.getTime() < now)) return false;
  return judge(demand, kept, now).ok;
}
