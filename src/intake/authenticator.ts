import { createHash, createHmac, randomBytes } from "node:crypto";
import { assertNever, type Clock, type Instant, type Log, printable } from "../base/index.ts";
import type { Client, SaslVerdict } from "../server/index.ts";
import { createSaslServer, type SaslServer, type SaslServerStep, type ScramServerOptions } from "../smtp/index.ts";
import { AuthThrottle, type AuthThrottleRules } from "./auth-throttle.ts";
import type { Credentials } from "./credentials.ts";
import { events } from "./events.ts";
import { prepareName } from "./prepared-strings.ts";
import { REPLIES } from "./replies.ts";

export interface AuthenticatorOptions {
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly log: Log;
  /** How failures are slowed. */
  readonly throttle?: Partial<AuthThrottleRules>;
}

/** The AUTH exchanges of one connection, one at a time. */
export interface Authentication {
  step(mechanism: string, response: Uint8Array | null, first: boolean): Promise<SaslVerdict>;
}

/** Checks who a client is; one for all connections of a service, since failures are counted across them. */
export interface Authenticator {
  begin(client: Client): Authentication;
}

const REFUSED = { kind: "refuse", reply: REPLIES.authFailed } as const;
const LATER = { kind: "refuse", reply: REPLIES.authLater } as const;

/**
 * Checks PLAIN, LOGIN and SCRAM-SHA-256 against `credentials`. Every failure gives one reply after one time, which grows
 * with each failure; so nothing tells a wrong name from a wrong password.
 */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const throttle = new AuthThrottle(options.clock, options.throttle);
  return { begin: (client) => new ClientAuthentication(options, throttle, client) };
}

const SCRAM: ScramServerOptions = {
  crypto: {
    hash: (data) => createHash("sha256").update(data).digest(),
    hmac: (key, data) => createHmac("sha256", key).update(data).digest(),
    nonce: () => randomBytes(18).toString("base64"),
  },
  // Never shown: users who do not exist have keys too, from `Credentials.scram`.
  decoySecret: randomBytes(32),
  decoyIterations: 4096,
};

class ClientAuthentication implements Authentication {
  readonly #options: AuthenticatorOptions;
  readonly #throttle: AuthThrottle;
  readonly #client: Client;
  #exchange: SaslServer | null = null;
  /** Whose keys the running SCRAM exchange is about; null for nobody's. */
  #identity: string | null = null;
  /** The name it was begun under, as the client wrote it. */
  #account = "";

  constructor(options: AuthenticatorOptions, throttle: AuthThrottle, client: Client) {
    this.#options = options;
    this.#throttle = throttle;
    this.#client = client;
  }

  async step(mechanism: string, response: Uint8Array | null, first: boolean): Promise<SaslVerdict> {
    if (first) {
      this.#exchange = createSaslServer(mechanism, SCRAM);
      this.#identity = null;
    }
    if (this.#exchange === null) return { kind: "refuse", reply: REPLIES.authUnknown };
    const since = this.#options.clock.now();
    try {
      return await this.#judge(this.#exchange.next(response), since);
    } catch (error) {
      // The users file cannot be read: our trouble, so 454 and not 535, or clients would ask their users for a password.
      const cause = error instanceof Error ? error : new Error(String(error));
      this.#options.log.error(events.authFailed, { session: this.#client.sessionId, error: cause });
      return LATER;
    }
  }

  async #judge(step: SaslServerStep, since: Instant): Promise<SaslVerdict> {
    switch (step.kind) {
      case "challenge":
        return step;
      case "password":
        return await this.#checkPassword(step, since);
      case "lookup": {
        if (!this.#mayTry(step.authcid)) return this.#defer(step.authcid, "throttled");
        const { identity, keys } = this.#options.credentials.scram(step.authcid);
        this.#identity = identity;
        this.#account = step.authcid;
        return await this.#judge(step.supply(keys), since);
      }
      case "authenticated":
        return await this.#conclude(this.#identity, step, since);
      case "failed":
        if (step.reason === "credentials") return await this.#fail(this.#account, since);
        return { kind: "refuse", reply: REPLIES.authMalformed };
      default:
        return assertNever(step);
    }
  }

  async #checkPassword(step: Extract<SaslServerStep, { kind: "password" }>, since: Instant): Promise<SaslVerdict> {
    if (!this.#mayTry(step.authcid)) return this.#defer(step.authcid, "throttled");
    const verification = await this.#options.credentials.verify(step.authcid, step.password);
    if (verification.kind === "busy") return this.#defer(step.authcid, "busy");
    return await this.#conclude(verification.kind === "verified" ? verification.identity : null, step, since);
  }

  /**
   * Nobody may act for another: an authorization identity must be the user's own name (RFC 4422 §3.4.1). That is looked at
   * last, so that it costs the time of a password.
   */
  async #conclude(
    identity: string | null,
    { authzid, authcid }: { readonly authzid: string | null; readonly authcid: string },
    since: Instant,
  ): Promise<SaslVerdict> {
    if (identity === null) return await this.#fail(authcid, since);
    if (authzid !== null && prepareName(authzid, "query") !== identity) return await this.#fail(authcid, since);
    this.#throttle.succeeded(this.#client.peer.address, identity);
    return { kind: "authenticated", identity };
  }

  #mayTry(account: string): boolean {
    return this.#throttle.allows(this.#client.peer.address, prepareName(account, "query"));
  }

  async #fail(account: string, since: Instant): Promise<SaslVerdict> {
    const { address } = this.#client.peer;
    const delay = this.#throttle.failed(address, prepareName(account, "query"));
    const fields = { session: this.#client.sessionId, address, account: printable(account), delay };
    this.#options.log.warn(events.authRefused, fields);
    await this.#throttle.wait(since, delay);
    return REFUSED;
  }

  #defer(account: string, reason: "throttled" | "busy"): SaslVerdict {
    const fields = { session: this.#client.sessionId, address: this.#client.peer.address, account: printable(account) };
    this.#options.log.warn(events.authDeferred, { ...fields, reason });
    return reason === "busy" ? LATER : { ...LATER, close: true };
  }
}
