import { messageOf, SECOND } from "../base/index.ts";
import { identityOf, scopeProblem } from "./claims.ts";
import type { Fetch } from "./issuer-connection.ts";
import type { TokenCheck, TokenOptions } from "./tokens.ts";

/** Where the issuer answers, and who we are to it. */
export interface IntrospectionEndpoint {
  readonly url: string;
  readonly clientId: string;
  readonly secret: string;
}

/**
 * Asks the issuer about a token (RFC 7662). Nothing is kept, so that a token that was taken back is no good at once. What the answer does
 * not hold to is the issuer's word, but for the audience: it must be there, or a scope must be demanded in its place, because a
 * token that another service got is active too.
 */
export async function introspect(
  token: string,
  { url, clientId, secret }: IntrospectionEndpoint,
  rules: TokenOptions,
  fetch: Fetch,
): Promise<TokenCheck> {
  let claims: unknown;
  try {
    const answer = await fetch({
      url,
      method: "POST",
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        // RFC 6749 §2.3.1: both are form-encoded first.
        authorization: `Basic ${Buffer.from(`${formText(clientId)}:${formText(secret)}`).toString("base64")}`,
      },
      body: new URLSearchParams({ token, token_type_hint: "access_token" }).toString(),
    });
    if (answer.status !== 200) {
      const hint = answer.status === 401 || answer.status === 403 ? ": look at client_id and client_secret_file" : "";
      return { kind: "unavailable", reason: `${url} answered ${answer.status}${hint}` };
    }
    claims = JSON.parse(answer.text);
  } catch (error) {
    const reason = error instanceof SyntaxError ? `${url} answered with what is not JSON` : messageOf(error);
    return { kind: "unavailable", reason };
  }
  if (!isClaims(claims))
    return { kind: "unavailable", reason: `${url} answered with what is no introspection response` };
  return judge(claims, rules);
}

type Claims = Readonly<Record<string, unknown>>;

function isClaims(read: unknown): read is Claims {
  return typeof read === "object" && read !== null && "active" in read && typeof read.active === "boolean";
}

function judge(claims: Claims, rules: TokenOptions): TokenCheck {
  const fault = faultOf(claims, rules);
  if (fault !== null) return { kind: "invalid", reason: fault };
  return scopeProblem(claims, rules.scope) ?? identityOf(claims, rules.userClaim);
}

function faultOf({ active, iss, aud, exp, nbf }: Claims, rules: TokenOptions): string | null {
  if (active !== true) return "the issuer says that it is not active";
  if (iss !== undefined && iss !== rules.issuer) return "another issuer's (iss)";
  if (aud === undefined && rules.scope === null)
    return "the issuer does not say whom it is for (aud), and no scope is demanded";
  if (aud !== undefined && aud !== rules.audience && !(Array.isArray(aud) && aud.includes(rules.audience))) {
    return "it is for somebody else (aud)";
  }
  const now = rules.clock.now() / SECOND;
  const skew = rules.clockSkew / SECOND;
  if (typeof exp === "number" && exp + skew <= now) return "expired (exp)";
  return typeof nbf === "number" && nbf - skew > now ? "not yet (nbf)" : null;
}

function formText(text: string): string {
  return new URLSearchParams({ x: text }).toString().slice(2);
}
