import { bytesEqual, concatBytes, EMPTY, encodeUtf8 } from "../../base/index.ts";
import { encodeBase64 } from "./base64.ts";
import type { SaslServer, SaslServerStep, ScramCrypto, ScramKeys } from "./mechanism.ts";
import { equalInConstantTime, xorOctets } from "./scram-keys.ts";
import { type BindingFlag, type ClientFirst, readClientFinal, readClientFirst } from "./scram-messages.ts";

export interface ScramServerOptions {
  readonly crypto: Pick<ScramCrypto, "hash" | "hmac" | "nonce">;
  /** A lasting secret: an unknown user is shown the same salt each time, as a known one is (RFC 5802 §9). */
  readonly decoySecret: Uint8Array;
  /** The iterations shown for unknown users: those of the users kept. */
  readonly decoyIterations: number;
  /**
   * Channel binding data of the client's TLS by type, null for a type that is not known or not defined there. Given where
   * SCRAM-SHA-256-PLUS is offered to this client, and nowhere else.
   */
  readonly channelBinding?: (type: string) => Uint8Array | null;
}

const MALFORMED: SaslServerStep = { kind: "failed", reason: "malformed" };
const REFUSED: SaslServerStep = { kind: "failed", reason: "credentials" };
const NOT_BOUND: SaslServerStep = { kind: "failed", reason: "channelBinding" };

const SALT_OCTETS = 16;

/** What the exchange waits for. */
type Wait =
  | { readonly for: "first" }
  | { readonly for: "keys" }
  | {
      readonly for: "final";
      readonly first: ClientFirst;
      /** What the client has to bind to, empty where it binds to nothing. */
      readonly bound: Uint8Array;
      readonly nonce: string;
      readonly keys: ScramKeys;
      /** False for an unknown user, whose exchange goes on to the end all the same. */
      readonly known: boolean;
      readonly serverFirst: string;
    }
  /** The client acknowledges the server's proof with an empty response (RFC 4954 §4). */
  | { readonly for: "acknowledgement"; readonly first: ClientFirst }
  | { readonly for: "nothing" };

type ScramMechanism = "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS";

/** SCRAM-SHA-256 on the server's side (RFC 5802, RFC 7677); with -PLUS the client has to bind to its TLS. */
export function scramServer(mechanism: ScramMechanism, options: ScramServerOptions): SaslServer {
  let wait: Wait = { for: "first" };

  function onFirst(message: Uint8Array): SaslServerStep {
    const first = readClientFirst(message);
    if (first === null) return MALFORMED;
    const bound = boundTo(mechanism, first.binding, options.channelBinding);
    if (!(bound instanceof Uint8Array)) return bound;
    wait = { for: "keys" };
    const supply = (keys: ScramKeys | null): SaslServerStep => {
      if (wait.for !== "keys") return MALFORMED;
      const nonce = first.nonce + options.crypto.nonce();
      const shown = keys ?? decoyKeys(options, first.authcid);
      const serverFirst = `r=${nonce},s=${encodeBase64(shown.salt)},i=${shown.iterations}`;
      wait = { for: "final", first, bound, nonce, keys: shown, known: keys !== null, serverFirst };
      return { kind: "challenge", data: encodeUtf8(serverFirst) };
    };
    return { kind: "lookup", authcid: first.authcid, supply };
  }

  function onFinal(message: Uint8Array, waited: Extract<Wait, { for: "final" }>): SaslServerStep {
    const { first, keys } = waited;
    const final = readClientFinal(message);
    if (final === null) return MALFORMED;
    // `c=` is the header as it was sent, and behind it what is bound to (RFC 5802 §5.1).
    const expected = concatBytes([encodeUtf8(first.gs2Header), waited.bound]);
    if (!bytesEqual(final.channelBinding, expected)) return waited.bound.length > 0 ? NOT_BOUND : MALFORMED;
    if (final.nonce !== waited.nonce) return REFUSED;
    const signed = encodeUtf8(`${first.bare},${waited.serverFirst},${final.withoutProof}`);
    const signature = options.crypto.hmac(keys.storedKey, signed);
    const clientKey = xorOctets(signature, final.proof);
    const proved = equalInConstantTime(options.crypto.hash(clientKey), keys.storedKey);
    if (!proved || !waited.known || final.proof.length !== signature.length) return REFUSED;
    wait = { for: "acknowledgement", first };
    return { kind: "challenge", data: encodeUtf8(`v=${encodeBase64(options.crypto.hmac(keys.serverKey, signed))}`) };
  }

  return {
    mechanism,
    next(response) {
      const waited = wait;
      if (waited.for === "first" && response === null) return { kind: "challenge", data: EMPTY };
      wait = { for: "nothing" };
      if (response === null) return MALFORMED;
      if (waited.for === "first") return onFirst(response);
      if (waited.for === "final") return onFinal(response, waited);
      if (waited.for !== "acknowledgement" || response.length > 0) return MALFORMED;
      return { kind: "authenticated", authzid: waited.first.authzid, authcid: waited.first.authcid };
    },
  };
}

/**
 * RFC 5802 §6. A client that could bind, and was told that this server cannot (`y`), was told so by somebody between: the offer is
 * ours to remember. `p=` is for -PLUS alone, and -PLUS for `p=` alone.
 */
function boundTo(
  mechanism: ScramMechanism,
  flag: BindingFlag,
  channelBinding: ScramServerOptions["channelBinding"],
): Uint8Array | SaslServerStep {
  if (mechanism === "SCRAM-SHA-256") {
    if (flag === "notOffered" && channelBinding !== undefined) return NOT_BOUND;
    return typeof flag === "string" ? EMPTY : MALFORMED;
  }
  if (typeof flag === "string") return flag === "notOffered" ? NOT_BOUND : MALFORMED;
  const data = channelBinding?.(flag.type) ?? null;
  return data === null || data.length === 0 ? NOT_BOUND : data;
}

/** Keys that no password has, in looks those of a user. */
function decoyKeys({ crypto, decoySecret, decoyIterations }: ScramServerOptions, authcid: string): ScramKeys {
  const derive = (use: string) => crypto.hmac(decoySecret, encodeUtf8(`${use}\0${authcid}`));
  return {
    salt: derive("salt").subarray(0, SALT_OCTETS),
    iterations: decoyIterations,
    storedKey: derive("stored key"),
    serverKey: derive("server key"),
  };
}
