import { bytesEqual, EMPTY, encodeUtf8 } from "../../base/index.ts";
import { encodeBase64 } from "./base64.ts";
import type { SaslServer, SaslServerStep, ScramCrypto, ScramKeys } from "./mechanism.ts";
import { equalInConstantTime, xorOctets } from "./scram-keys.ts";
import { type ClientFirst, readClientFinal, readClientFirst } from "./scram-messages.ts";

export interface ScramServerOptions {
  readonly crypto: Pick<ScramCrypto, "hash" | "hmac" | "nonce">;
  /** A lasting secret: an unknown user is shown the same salt each time, as a known one is (RFC 5802 §9). */
  readonly decoySecret: Uint8Array;
  /** The iterations shown for unknown users: those of the users kept. */
  readonly decoyIterations: number;
}

const MALFORMED: SaslServerStep = { kind: "failed", reason: "malformed" };
const REFUSED: SaslServerStep = { kind: "failed", reason: "credentials" };

const SALT_OCTETS = 16;

/** What the exchange waits for. */
type Wait =
  | { readonly for: "first" }
  | { readonly for: "keys" }
  | {
      readonly for: "final";
      readonly first: ClientFirst;
      readonly nonce: string;
      readonly keys: ScramKeys;
      /** False for an unknown user, whose exchange goes on to the end all the same. */
      readonly known: boolean;
      readonly serverFirst: string;
    }
  /** The client acknowledges the server's proof with an empty response (RFC 4954 §4). */
  | { readonly for: "acknowledgement"; readonly first: ClientFirst }
  | { readonly for: "nothing" };

/** SCRAM-SHA-256 on the server's side (RFC 5802, RFC 7677), without channel binding. */
export function scramServer(options: ScramServerOptions): SaslServer {
  let wait: Wait = { for: "first" };

  function onFirst(message: Uint8Array): SaslServerStep {
    const first = readClientFirst(message);
    if (first === null) return MALFORMED;
    wait = { for: "keys" };
    const supply = (keys: ScramKeys | null): SaslServerStep => {
      if (wait.for !== "keys") return MALFORMED;
      const nonce = first.nonce + options.crypto.nonce();
      const shown = keys ?? decoyKeys(options, first.authcid);
      const serverFirst = `r=${nonce},s=${encodeBase64(shown.salt)},i=${shown.iterations}`;
      wait = { for: "final", first, nonce, keys: shown, known: keys !== null, serverFirst };
      return { kind: "challenge", data: encodeUtf8(serverFirst) };
    };
    return { kind: "lookup", authcid: first.authcid, supply };
  }

  function onFinal(message: Uint8Array, waited: Extract<Wait, { for: "final" }>): SaslServerStep {
    const { first, keys } = waited;
    const final = readClientFinal(message);
    if (final === null || !bytesEqual(final.channelBinding, encodeUtf8(first.gs2Header))) return MALFORMED;
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
    mechanism: "SCRAM-SHA-256",
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
