import type { Clock, Duration } from "../base/index.ts";
import { introspect } from "./introspection.ts";
import { type Fetch, httpsFetch } from "./issuer-connection.ts";
import { IssuerKeys, readKeys } from "./issuer-keys.ts";
import { checkJwt } from "./jwt.ts";

/** What tokens have to be, and by what that is found out. */
export interface TokenOptions {
  /** `iss` of each token, letter by letter. */
  readonly issuer: string;
  /** Among the `aud` of each token. */
  readonly audience: string;
  readonly keys:
    | { readonly kind: "url"; readonly url: string }
    /** The text of a JSON Web Key Set (RFC 7517 §5), read anew each time. */
    | { readonly kind: "file"; readonly read: () => string }
    | { readonly kind: "introspection"; readonly url: string; readonly clientId: string; readonly secret: string };
  /** The claim that names the user. */
  readonly userClaim: string;
  /** JWA names; only such as have a public key. */
  readonly algorithms: readonly string[];
  /** One that each token must have; null: none. */
  readonly scope: string | null;
  readonly clockSkew: Duration;
  readonly keyLifetime: Duration;
  /** All authorities that the issuer's host is trusted by, PEM; null: Node's. */
  readonly ca: readonly string[] | null;
  readonly clock: Clock;
  /** For tests; default: HTTPS. */
  readonly fetch?: Fetch;
}

/** What came of a token. Reasons are one plain line for the operator, without anything of the token. */
export type TokenCheck =
  | { readonly kind: "valid"; readonly identity: string }
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "insufficientScope"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

export interface Tokens {
  readonly scope: string | null;
  /** Where the issuer's metadata is (OpenID Connect Discovery §4), for clients that ask. */
  readonly configuration: string;
  /** Never rejects. An empty token is invalid. */
  check(token: string): Promise<TokenCheck>;
}

/** The rules of `options`. Keys are fetched by the first token, not now: an issuer that is down keeps no mail server from starting. */
export function createTokens(options: TokenOptions): Tokens {
  const { issuer, scope, keys, clock } = options;
  const fetch = options.fetch ?? httpsFetch(options.ca);
  const check = checker(options, fetch);
  return {
    scope,
    configuration: `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    async check(token) {
      if (token === "") return { kind: "invalid", reason: "there is none" };
      return await check(token);
    },
  };

  function checker(rules: TokenOptions, get: Fetch): (token: string) => Promise<TokenCheck> {
    if (keys.kind === "introspection") return (token) => introspect(token, keys, rules, get);
    const load = keys.kind === "file" ? async () => readKeys(keys.read()) : () => fetchKeys(keys.url, get);
    const kept = new IssuerKeys({ load, lifetime: rules.keyLifetime, clock });
    return (token) => checkJwt(token, kept, rules);
  }
}

async function fetchKeys(url: string, fetch: Fetch) {
  const answer = await fetch({ url, method: "GET", headers: {}, body: null });
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
  return readKeys(answer.text);
}
