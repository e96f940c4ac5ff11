import saslprep from "@mongodb-js/saslprep";
import { err, ok } from "../base/index.ts";
import { channelBinding, type Stream } from "../net/index.ts";
import {
  createSaslClient,
  decodeBase64,
  encodeBase64,
  SASL_MECHANISMS,
  type SaslChannel,
  type SaslClient,
  type SaslCredentials,
} from "../smtp/index.ts";
import { nodeScramCrypto } from "./scram-crypto.ts";
import type { AuthExchange, AuthRules } from "./session.ts";
import type { ClientAuth } from "./types.ts";

/**
 * How to log in with these credentials, over a stream with this `bindingOf`. Throws where they hold NUL, or a token something that no token holds: a bug
 * of the caller's.
 */
export function authRules(auth: ClientAuth, binding: SaslChannel["binding"]): AuthRules {
  const credentials = credentialsOf(auth);
  return {
    mechanisms: (auth.mechanisms ?? SASL_MECHANISMS).map((mechanism) => mechanism.toUpperCase()),
    start(mechanism, offered) {
      // RFC 5802 §2.2 wants both prepared. What cannot be prepared may still be right for a server that compares octets.
      const said = mechanism.startsWith("SCRAM-") ? prepared(credentials) : credentials;
      const channel = { binding, plusOffered: offered.includes("SCRAM-SHA-256-PLUS") };
      const client = said === null ? null : createSaslClient(mechanism, said, nodeScramCrypto, channel);
      return client === null ? null : onTheLine(client);
    },
  };
}

function credentialsOf(auth: ClientAuth): SaslCredentials {
  const { user = "" } = auth;
  if (user.includes("\0")) throw new Error("credentials hold no NUL");
  if ("certificate" in auth) return { external: true, ...(user !== "" && { authzid: user }) };
  if ("token" in auth) {
    // RFC 6750 §2.1: anything else could end the field and begin another.
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(auth.token)) throw new Error("this is no bearer token (RFC 6750 §2.1)");
    return { authcid: user, token: auth.token };
  }
  if (auth.password.includes("\0")) throw new Error("credentials hold no NUL");
  return { authcid: user, password: auth.password };
}

/** What a stream offers to bind to; null in clear text. RFC 9266 §3: `tls-exporter` is what TLS 1.3 is bound by; before it the server's certificate has to do. */
export function bindingOf(stream: Stream): SaslChannel["binding"] {
  for (const type of ["tls-exporter", "tls-server-end-point"] as const) {
    const data = channelBinding(stream, type);
    if (data !== null) return { type, data };
  }
  return null;
}

function prepared(credentials: SaslCredentials): SaslCredentials | null {
  if (!("password" in credentials)) return null;
  try {
    return { authcid: saslprep(credentials.authcid), password: saslprep(credentials.password) };
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
