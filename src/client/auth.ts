import type { AuthRules } from "./session.ts";
import type { ClientAuth } from "./types.ts";

/** How to log in with these credentials: no mechanism is spoken yet, so that what demands one is told `authNotOffered`. */
export function authRules(auth: ClientAuth): AuthRules {
  return { mechanisms: auth.mechanisms ?? [], start: () => null };
}
