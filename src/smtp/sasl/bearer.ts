// Bearer tokens of OAuth 2.0 (RFC 6750): OAUTHBEARER (RFC 7628), and XOAUTH2, which Google had before it and many clients still speak.
import { decodeUtf8, EMPTY, encodeUtf8, err, ok } from "../../base/index.ts";
import { MAX_SASL_TOKEN_MESSAGE } from "../limits.ts";
import { readIdentity } from "./identity.ts";
import type { SaslClient, SaslServer, SaslServerStep, TokenCredentials, TokenRejection } from "./mechanism.ts";
import { formatSaslName, readSaslName } from "./scram-messages.ts";

type BearerMechanism = "OAUTHBEARER" | "XOAUTH2";

/** What one message of the client says. */
interface BearerMessage {
  readonly authzid: string | null;
  /** Empty where the client gave none, to learn what is wanted (RFC 7628 §4.3). */
  readonly token: string;
}

const SEPARATOR = "\x01";
const MALFORMED: SaslServerStep = { kind: "failed", reason: "malformed" };
const REFUSED: SaslServerStep = { kind: "failed", reason: "credentials" };

/**
 * A refusal takes a step more than elsewhere: the reason goes out as a challenge, the client answers it with nothing of meaning
 * (RFC 7628 §3.2.3), and then it is refused.
 */
export function bearerServer(mechanism: BearerMechanism): SaslServer {
  const read = mechanism === "OAUTHBEARER" ? readOauthBearer : readXoauth2;
  let wait: "message" | "verdict" | "acknowledgement" | "nothing" = "message";

  function reject(reason: TokenRejection): SaslServerStep {
    if (wait !== "verdict") return MALFORMED;
    wait = "acknowledgement";
    return {
      kind: "challenge",
      data: encodeUtf8(mechanism === "OAUTHBEARER" ? oauthError(reason) : xoauth2Error(reason)),
    };
  }

  return {
    mechanism,
    next(response) {
      if (wait === "acknowledgement") {
        wait = "nothing";
        return REFUSED;
      }
      if (wait !== "message") {
        wait = "nothing";
        return MALFORMED;
      }
      if (response === null) return { kind: "challenge", data: EMPTY };
      const text = response.length > MAX_SASL_TOKEN_MESSAGE ? null : decodeUtf8(response);
      const message = text === null ? null : read(text);
      wait = message === null ? "nothing" : "verdict";
      return message === null ? MALFORMED : { kind: "token", ...message, reject };
    },
  };
}

/** client-resp of RFC 7628 §3.1. `host` and `port` are for tokens that sign them; nothing else is looked at. */
function readOauthBearer(text: string): BearerMessage | null {
  // No channel can be bound to a bearer token, so that `p=` is against the mechanism.
  const [, written, pairs] = /^[ny],(?:a=([^,]+))?,\x01(.*)$/s.exec(text) ?? [];
  if (pairs === undefined) return null;
  const authzid = written === undefined ? null : readSaslName(written);
  if (written !== undefined && authzid === null) return null;
  const token = readPairs(pairs);
  return token === null ? null : { authzid, token };
}

/** `user=NAME ^A auth=Bearer TOKEN ^A ^A`, in this order. */
function readXoauth2(text: string): BearerMessage | null {
  const [, user, pairs] = /^user=([^\x01]*)\x01(.*)$/s.exec(text) ?? [];
  if (user === undefined || pairs === undefined) return null;
  const authzid = user === "" ? null : readIdentity(encodeUtf8(user));
  const token = readPairs(pairs);
  return token === null || (user !== "" && authzid === null) ? null : { authzid, token };
}

/** kvpairs of RFC 7628 §3.1: each ends with a separator, and so do all of them. The token of `auth`; null against the grammar. */
function readPairs(text: string): string | null {
  if (!text.endsWith(SEPARATOR)) return null;
  const pairs = text.slice(0, -1);
  if (pairs !== "" && !pairs.endsWith(SEPARATOR)) return null;
  let token: string | null = null;
  for (const pair of pairs === "" ? [] : pairs.slice(0, -1).split(SEPARATOR)) {
    const [, key, value = ""] = /^([A-Za-z]+)=([\x20-\x7e\t\r\n]*)$/.exec(pair) ?? [];
    if (key === undefined) return null;
    if (key !== "auth") continue;
    if (token !== null) return null;
    token = readBearer(value);
    if (token === null) return null;
  }
  return token ?? "";
}

/** `Bearer` has no case (RFC 9110 §11.1); the token is b64token of RFC 6750 §2.1. */
function readBearer(value: string): string | null {
  if (value === "") return "";
  return /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(value)?.[1] ?? null;
}

function oauthError({ status, scope, configuration }: TokenRejection): string {
  return JSON.stringify({
    status,
    ...(scope === null ? {} : { scope }),
    ...(configuration === null ? {} : { "openid-configuration": configuration }),
  });
}

/** As Google writes it: a status of HTTP (RFC 6750 §3.1). */
function xoauth2Error({ status, scope }: TokenRejection): string {
  const code = { invalid_request: "400", invalid_token: "401", insufficient_scope: "403" }[status];
  return JSON.stringify({ status: code, schemes: "bearer", ...(scope === null ? {} : { scope }) });
}

/** The token in the first message; a challenge is a refusal, which is answered so that the server can say its no. */
export function bearerClient(mechanism: BearerMechanism, { authcid, token }: TokenCredentials): SaslClient {
  const auth = `${SEPARATOR}auth=Bearer ${token}${SEPARATOR}${SEPARATOR}`;
  const initial = mechanism === "OAUTHBEARER" ? `n,a=${formatSaslName(authcid)},${auth}` : `user=${authcid}${auth}`;
  let refused = false;
  return {
    mechanism,
    initial: encodeUtf8(initial),
    next() {
      if (refused) return err("unexpectedChallenge");
      refused = true;
      return ok(mechanism === "OAUTHBEARER" ? encodeUtf8(SEPARATOR) : EMPTY);
    },
    get complete() {
      return !refused;
    },
  };
}
