import saslprep from "@mongodb-js/saslprep";
import { err, ok } from "../base/index.ts";
import {
  createSaslClient,
  decodeBase64,
  encodeBase64,
  SASL_MECHANISMS,
  type SaslClient,
  type SaslCredentials,
} from "../smtp/index.ts";
import { nodeScramCrypto } from "./scram-crypto.ts";
import type { AuthExchange, AuthRules } from "./session.ts";
import type { ClientAuth } from "./types.ts";

/** How to log in with these credentials. Throws where they hold NUL, which no mechanism can say: a bug of the caller's. */
export function authRules(auth: ClientAuth): AuthRules {
  if (auth.user.includes("\0") || auth.password.includes("\0")) throw new Error("credentials hold no NUL");
  const given = { authcid: auth.user, password: auth.password };
  return {
    mechanisms: (auth.mechanisms ?? SASL_MECHANISMS).map((mechanism) => mechanism.toUpperCase()),
    start(mechanism) {
      // RFC 5802 §2.2 wants both prepared. What cannot be prepared may still be right for a server that compares octets.
      const credentials = mechanism.startsWith("SCRAM-") ? prepared(given) : given;
      const client = credentials === null ? null : createSaslClient(mechanism, credentials, nodeScramCrypto);
      return client === null ? null : onTheLine(client);
    },
  };
}

function prepared({ authcid, password }: SaslCredentials): SaslCredentials | null {
  try {
    return { authcid: saslprep(authcid), password: saslprep(password) };
  } catch {
    return null;
  }
}

function onTheLine(client: SaslClient): AuthExchange {
  return {
    // RFC 4954 §4: an empty initial response is written as a single "=".
    initial: client.initial === null ? null : encodeBase64(client.initial) || "=",
    next(challenge) {
      const octets = readChallenge(client, challenge);
      if (octets === null) return err("a challenge that is not base64");
      const answer = client.next(octets);
      return answer.ok ? ok(encodeBase64(answer.value)) : answer;
    },
    get complete() {
      return client.complete;
    },
  };
}

/** What LOGIN's prompts say is never read, and some servers do not write them in base64. */
function readChallenge(client: SaslClient, challenge: string): Uint8Array | null {
  return decodeBase64(challenge) ?? (client.mechanism === "LOGIN" ? new Uint8Array(0) : null);
}
