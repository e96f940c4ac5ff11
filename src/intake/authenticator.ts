import { createHash, createHmac, randomBytes } from "node:crypto";
import { asError, assertNever, type Clock, type Instant, type Log, printable } from "../base/index.ts";
import type { Client, SaslVerdict } from "../server/index.ts";
import {
  createSaslServer,
  SASL_MECHANISMS,
  type SaslMechanism,
  type SaslServer,
  type SaslServerStep,
  type ScramServerOptions,
} from "../smtp/index.ts";
import { AuthThrottle, type AuthThrottleRules } from "./auth-throttle.ts";
import type { CredentialSource, LoginContext } from "./credential-source.ts";
import { events } from "./events.ts";
import { prepareName } from "./prepared-strings.ts";
import { REPLIES } from "./replies.ts";
import type { TokenSource } from "./token-source.ts";

export interface AuthenticatorOptions {
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  readonly log: Log;
  /** How failures are slowed; or what slows them, where it has counted before. */
  readonly throttle?: Partial<AuthThrottleRules> | AuthThrottle;
  /** Those that may be offered where they can be; default: all. */
  readonly mechanisms?: readonly SaslMechanism[];
  /** Who checks OAUTHBEARER and XOAUTH2; without it they are not offered. */
  readonly tokens?: TokenSource;
  /**
   * The user whom the certificate of a peer (`Client.certificate`) logs in as by EXTERNAL; null for a peer who is nobody. Without it
   * EXTERNAL is not offered.
   */
  readonly userOfPeer?: (peer: string) => string | null;
}

/** The AUTH exchanges of one connection, one at a time. */
export interface Authentication {
  step(mechanism: string, response: Uint8Array | null, first: boolean): Promise<SaslVerdict>;
}

/** Checks who a client is; one for all connections of a service, since failures are counted across them. */
export interface Authenticator {
  begin(client: Client): Authentication;
  /** What this client can use, in order of preference. */
  mechanismsFor(client: Client): readonly string[];
}

const REFUSED = { kind: "refuse", reply: REPLIES.authFailed } as const;
const LATER = { kind: "refuse", reply: REPLIES.authLater } as const;

/**
 * Checks passwords (PLAIN, LOGIN, SCRAM-SHA-256 and -PLUS) against `credentials`, tokens (OAUTHBEARER, XOAUTH2) by `tokens`, and
 * certificates (EXTERNAL) by `userOfPeer`; whoever comes by a token or certificate must have an account too. Every failure gives
 * one reply after one time, which grows with each failure; so nothing tells a wrong name from a wrong password.
 */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { throttle: given } = options;
  const throttle = given instanceof AuthThrottle ? given : new AuthThrottle(options.clock, given);
  return {
    begin: (client) => new ClientAuthentication(options, throttle, client),
    mechanismsFor: (client) => mechanismsFor(options, client),
  };
}

const SCRAM: ScramServerOptions = {
  crypto: {
    hash: (data) => createHash("sha256").update(data).digest(),
    hmac: (key, data) => createHmac("sha256", key).update(data).digest(),
    nonce: () => randomBytes(18).toString("base64"),
  },
  // Never shown: users who do not exist have keys too, from `CredentialSource.scram`.
  decoySecret: randomBytes(32),
  decoyIterations: 4096,
};

type Ending<Kind extends SaslServerStep["kind"]> = Extract<SaslServerStep, { kind: Kind }>;

class ClientAuthentication implements Authentication {
  readonly #options: AuthenticatorOptions;
  readonly #throttle: AuthThrottle;
  readonly #client: Client;
  #exchange: SaslServer | null = null;
  /** Whose keys the running SCRAM exchange is about; null for nobody's. */
  #identity: string | null = null;
  /** The name it was begun under, as the client wrote it. */
  #account = "";
  /** The failure of the running exchange is counted, and only its reply is owed. */
  #counted = false;

  constructor(options: AuthenticatorOptions, throttle: AuthThrottle, client: Client) {
    this.#options = options;
    this.#throttle = throttle;
    this.#client = client;
  }

  async step(mechanism: string, response: Uint8Array | null, first: boolean): Promise<SaslVerdict> {
    if (first) {
      this.#exchange = this.#begin(mechanism);
      this.#identity = null;
      this.#account = "";
      this.#counted = false;
    }
    if (this.#exchange === null) return { kind: "refuse", reply: REPLIES.authUnknown };
    const since = this.#options.clock.now();
    try {
      return await this.#judge(this.#exchange.next(response), since);
    } catch (error) {
      // The users cannot be looked up: our trouble, so 454 and not 535, or clients would ask their users for a password.
      const cause = asError(error);
      this.#options.log.error(events.authFailed, { session: this.#client.sessionId, error: cause });
      return LATER;
    }
  }

  #begin(mechanism: string): SaslServer | null {
    const offered: readonly string[] = mechanismsFor(this.#options, this.#client);
    if (!offered.includes(mechanism)) return null;
    if (!offered.includes("SCRAM-SHA-256-PLUS")) return createSaslServer(mechanism, SCRAM);
    return createSaslServer(mechanism, { ...SCRAM, channelBinding: (type) => bound(this.#client, type) });
  }

  async #judge(step: SaslServerStep, since: Instant): Promise<SaslVerdict> {
    switch (step.kind) {
      case "challenge":
        return step;
      case "password":
        return await this.#checkPassword(step, since);
      case "lookup":
        return await this.#lookUp(step, since);
      case "authenticated":
        return await this.#conclude(this.#identity, step, since);
      case "external":
        return await this.#checkCertificate(step, since);
      case "token":
        return await this.#checkToken(step, since);
      case "failed":
        return await this.#failed(step, since);
      default:
        return assertNever(step);
    }
  }

  async #failed({ reason }: Ending<"failed">, since: Instant): Promise<SaslVerdict> {
    if (reason === "malformed") return { kind: "refuse", reply: REPLIES.authMalformed };
    if (reason === "credentials") return this.#counted ? REFUSED : await this.#fail(this.#account, since);
    // No guess at a password, so nothing is counted: it is the client who was cheated.
    const fields = { session: this.#client.sessionId, address: this.#client.peer.address };
    this.#options.log.warn(events.authUnbound, { ...fields, account: await this.#shown(this.#account) });
    return REFUSED;
  }

  async #lookUp(step: Ending<"lookup">, since: Instant): Promise<SaslVerdict> {
    if (!this.#mayTry(step.authcid)) return await this.#defer(step.authcid, "throttled");
    const found = await this.#options.credentials.scram?.(step.authcid);
    if (found === undefined) return { kind: "refuse", reply: REPLIES.authUnknown };
    this.#identity = found.identity;
    this.#account = step.authcid;
    return await this.#judge(step.supply(found.keys), since);
  }

  async #checkPassword(step: Ending<"password">, since: Instant): Promise<SaslVerdict> {
    if (!this.#mayTry(step.authcid)) return await this.#defer(step.authcid, "throttled");
    const context = contextOf(this.#client);
    const verification = await this.#options.credentials.verify(step.authcid, step.password, context);
    if (verification.kind === "busy") return await this.#defer(step.authcid, "busy");
    return await this.#conclude(verification.kind === "verified" ? verification.identity : null, step, since);
  }

  async #checkCertificate({ authzid }: Ending<"external">, since: Instant): Promise<SaslVerdict> {
    const user = certifiedUser(this.#options, this.#client);
    const account = user ?? "";
    if (!this.#mayTry(account)) return await this.#defer(account, "throttled");
    return await this.#conclude(await this.#withAccount(user), { authzid, authcid: account }, since);
  }

  async #checkToken(step: Ending<"token">, since: Instant): Promise<SaslVerdict> {
    const { tokens } = this.#options;
    if (tokens === undefined) return { kind: "refuse", reply: REPLIES.authUnknown };
    const claimed = step.authzid ?? "";
    if (!this.#mayTry(claimed)) return await this.#defer(claimed, "throttled");
    const checked = await tokens.check(step.token);
    if (checked.kind === "unavailable") return await this.#defer(claimed, "issuer", checked.reason);
    if (checked.kind === "valid") {
      const identity = await this.#withAccount(prepareName(checked.identity, "query"));
      const authcid = step.authzid ?? checked.identity;
      if (this.#mayActFor(identity, step.authzid)) return await this.#conclude(identity, { ...step, authcid }, since);
    }
    const reason = checked.kind === "valid" ? `it is ${printable(checked.identity)}'s` : checked.reason;
    await this.#fail(claimed, since, reason);
    this.#counted = true;
    const status = checked.kind === "insufficientScope" ? "insufficient_scope" : "invalid_token";
    return await this.#judge(step.reject({ status, scope: tokens.scope, configuration: tokens.configuration }), since);
  }

  /** A certificate or token proves a name; that the name may submit is for the source of users to say. */
  async #withAccount(identity: string | null): Promise<string | null> {
    if (identity === null) return null;
    return (await this.#options.credentials.account(identity)) === null ? null : identity;
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
    if (identity === null || !this.#mayActFor(identity, authzid)) return await this.#fail(authcid, since);
    this.#throttle.succeeded(this.#client.peer.address, identity);
    return { kind: "authenticated", identity };
  }

  #mayActFor(identity: string | null, authzid: string | null): boolean {
    return identity !== null && (authzid === null || prepareName(authzid, "query") === identity);
  }

  #mayTry(account: string): boolean {
    return this.#throttle.allows(this.#client.peer.address, prepareName(account, "query"));
  }

  /** For the log. People type their password where the name belongs: what is nobody's name is not written down. */
  async #shown(account: string): Promise<string | null> {
    const identity = await this.#withAccount(prepareName(account, "query"));
    return identity === null ? null : printable(identity);
  }

  async #fail(account: string, since: Instant, reason?: string): Promise<SaslVerdict> {
    const { address } = this.#client.peer;
    const delay = this.#throttle.failed(address, prepareName(account, "query"));
    const fields = { session: this.#client.sessionId, address, account: await this.#shown(account), delay };
    const mechanism = this.#exchange?.mechanism;
    this.#options.log.warn(events.authRefused, { ...fields, mechanism, ...(reason === undefined ? {} : { reason }) });
    await this.#throttle.wait(since, delay);
    return REFUSED;
  }

  async #defer(account: string, reason: "throttled" | "busy" | "issuer", detail?: string): Promise<SaslVerdict> {
    const { address } = this.#client.peer;
    const fields = { session: this.#client.sessionId, address, account: await this.#shown(account) };
    this.#options.log.warn(events.authDeferred, { ...fields, reason, ...(detail === undefined ? {} : { detail }) });
    return reason === "throttled" ? { ...LATER, close: true } : LATER;
  }
}

function mechanismsFor(options: AuthenticatorOptions, client: Client): readonly SaslMechanism[] {
  const { mechanisms: wanted = SASL_MECHANISMS } = options;
  return SASL_MECHANISMS.filter((mechanism) => wanted.includes(mechanism) && canUse(mechanism, options, client));
}

function canUse(mechanism: SaslMechanism, options: AuthenticatorOptions, client: Client): boolean {
  const { credentials, tokens } = options;
  switch (mechanism) {
    case "EXTERNAL":
      return certifiedUser(options, client) !== null;
    case "SCRAM-SHA-256-PLUS":
      return credentials.scram !== undefined && BINDING_TYPES.some((type) => bound(client, type) !== null);
    case "SCRAM-SHA-256":
      return credentials.scram !== undefined;
    case "PLAIN":
    case "LOGIN":
      return true;
    case "OAUTHBEARER":
    case "XOAUTH2":
      return tokens !== undefined;
    default:
      return assertNever(mechanism);
  }
}

/** What a client may bind to here; one of them is enough to offer -PLUS. */
const BINDING_TYPES = ["tls-exporter", "tls-server-end-point"] as const;

function bound({ channelBinding }: Client, type: string): Uint8Array | null {
  return channelBinding?.(type) ?? null;
}

/** The user of the certificate that the client showed. */
function certifiedUser({ userOfPeer }: AuthenticatorOptions, { certificate = null }: Client): string | null {
  const user = certificate === null ? null : (userOfPeer?.(certificate) ?? null);
  return user === null ? null : prepareName(user, "query");
}

function contextOf({ sessionId, peer, local }: Client): LoginContext {
  return {
    session: sessionId,
    address: peer.address,
    port: peer.port,
    localAddress: local.address,
    localPort: local.port,
  };
}
