import saslprep from "@mongodb-js/saslprep";
import { encodeUtf8 } from "../base/index.ts";

const MAX_NAME_OCTETS = 255;
const MAX_PASSWORD_OCTETS = 1024;

/**
 * "store" refuses code points that Unicode 3.2 did not know, "query" takes them: a later mapping could turn a stored one into
 * something else, a queried one matches nothing (RFC 4013 §2.5, RFC 3454 §7).
 */
export type Preparation = "store" | "query";

/**
 * The one form under which a user name is kept and compared: SASLprep (RFC 4013, asked for by RFC 4616 §2), then lower case,
 * because phones capitalise what stands first in a field. Null where it can be no name: empty, too long, with white space
 * or controls in it.
 */
export function prepareName(name: string, preparation: Preparation): string | null {
  const prepared = prepare(name, preparation, MAX_NAME_OCTETS)?.toLowerCase() ?? null;
  return prepared === null || /[\s\u0000-\u001f\u007f]/.test(prepared) ? null : prepared;
}

/** The form of a name that stands for its user everywhere; null where it can be none. */
export function identityOf(name: string): string | null {
  return prepareName(name, "query");
}

/** A password in the form under which it is hashed; null where it can be none: empty, too long, with controls in it. */
export function preparePassword(password: string, preparation: Preparation): string | null {
  return prepare(password, preparation, MAX_PASSWORD_OCTETS);
}

function prepare(text: string, preparation: Preparation, limit: number): string | null {
  // Measured before the mapping too: a peer's text must be bounded before anything works on it.
  if (text.length > limit || !text.isWellFormed() || encodeUtf8(text).length > limit) return null;
  let prepared: string;
  try {
    prepared = saslprep(text, { allowUnassigned: preparation === "query" });
  } catch {
    return null; // Prohibited characters are reported by an exception.
  }
  return prepared === "" || encodeUtf8(prepared).length > limit ? null : prepared;
}
