import { errors, type JWTPayload, jwtVerify } from "jose";
import { messageOf, SECOND } from "../base/index.ts";
import { identityOf, scopeProblem } from "./claims.ts";
import type { IssuerKeys, KeyFinder } from "./issuer-keys.ts";
import type { TokenCheck, TokenOptions } from "./tokens.ts";

/**
 * Checks a JSON Web Token by the keys of its issuer: signature by one of the algorithms allowed (RFC 8725 §3.1), `iss`, `aud`, `exp` and
 * `nbf` (RFC 7519 §4.1), scope, and the claim that names the user.
 */
export async function checkJwt(token: string, keys: IssuerKeys, rules: TokenOptions): Promise<TokenCheck> {
  let finder: KeyFinder;
  try {
    finder = await keys.current();
  } catch (error) {
    return { kind: "unavailable", reason: messageOf(error) };
  }
  try {
    return judge(await verified(token, finder, rules), rules);
  } catch (error) {
    // The issuer may have changed its keys.
    const newer = error instanceof errors.JWKSNoMatchingKey ? await keys.newer(finder) : null;
    if (newer === null) return invalid(error);
    return await verified(token, newer, rules).then((claims) => judge(claims, rules), invalid);
  }
}

async function verified(token: string, finder: KeyFinder, rules: TokenOptions): Promise<JWTPayload> {
  const { issuer, audience, algorithms, clockSkew, clock } = rules;
  const { payload } = await jwtVerify(token, finder, {
    issuer,
    audience,
    algorithms: [...algorithms],
    clockTolerance: clockSkew / SECOND,
    currentDate: new Date(clock.now()),
    // One without an end could be used for ever.
    requiredClaims: ["exp"],
  });
  return payload;
}

function judge(claims: JWTPayload, rules: TokenOptions): TokenCheck {
  return scopeProblem(claims, rules.scope) ?? identityOf(claims, rules.userClaim);
}

/** Codes and names of claims alone: a message of the library could hold what the token says. */
function invalid(error: unknown): TokenCheck {
  if (!(error instanceof errors.JOSEError)) return { kind: "invalid", reason: "it cannot be read" };
  const claim =
    error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired ? error.claim : null;
  return { kind: "invalid", reason: claim === null ? error.code : `${error.code} (${claim})` };
}
