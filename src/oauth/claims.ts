import type { TokenCheck } from "./tokens.ts";

type Claims = Readonly<Record<string, unknown>>;

/** Null where the scope is there: `scope` of RFC 9068 §2.2.3 and RFC 7662, or `scp`, as Microsoft writes it. */
export function scopeProblem(claims: Claims, scope: string | null): TokenCheck | null {
  if (scope === null || scopesOf(claims.scope).includes(scope) || scopesOf(claims.scp).includes(scope)) return null;
  return { kind: "insufficientScope", reason: `the scope ${scope} is missing` };
}

function scopesOf(written: unknown): readonly unknown[] {
  if (typeof written === "string") return written.split(" ");
  return Array.isArray(written) ? written : [];
}

export function identityOf(claims: Claims, claim: string): TokenCheck {
  const identity = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  if (typeof identity !== "string" || identity === "") {
    return { kind: "invalid", reason: `the claim ${claim} is missing, or no text` };
  }
  // OpenID Connect Core §5.1: an address that somebody only typed in could be anybody's.
  if (claim === "email" && (claims.email_verified === false || claims.email_verified === "false")) {
    return { kind: "invalid", reason: "its email is not verified" };
  }
  return { kind: "valid", identity };
}
