import { concatBytes, EMPTY, encodeUtf8, err, ok, type Result } from "../../base/index.ts";
import { MAX_SCRAM_ITERATIONS, MIN_SCRAM_ITERATIONS } from "../limits.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import type { PasswordCredentials, SaslChannel, SaslClient, SaslClientProblem, ScramCrypto } from "./mechanism.ts";
import { deriveKeys, equalInConstantTime, xorOctets } from "./scram-keys.ts";
import { formatSaslName, readServerFirst, readText } from "./scram-messages.ts";

type Answer = Result<Uint8Array, SaslClientProblem>;

/** What the exchange waits for. */
type Wait =
  | { readonly for: "serverFirst" }
  | { readonly for: "serverFinal"; readonly serverSignature: Uint8Array }
  | { readonly for: "nothing"; readonly proved: boolean };

/**
 * SCRAM-SHA-256 on the client's side (RFC 5802, RFC 7677); null for -PLUS where there is nothing to bind to. The server has to prove
 * that it knows the password's keys before the exchange is complete.
 */
export function scramClient(
  mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS",
  { authzid, authcid, password }: PasswordCredentials,
  crypto: ScramCrypto,
  { binding, plusOffered }: SaslChannel,
): SaslClient | null {
  const binds = mechanism === "SCRAM-SHA-256-PLUS";
  if (binds && binding === null) return null;
  // RFC 5802 §6: a server that did offer -PLUS learns from `y` that somebody took the offer away.
  const flag = binds ? `p=${binding?.type}` : binding !== null && !plusOffered ? "y" : "n";
  const gs2Header = `${flag},${authzid === undefined ? "" : `a=${formatSaslName(authzid)}`},`;
  const bound = concatBytes([encodeUtf8(gs2Header), (binds ? binding?.data : undefined) ?? EMPTY]);
  const nonce = crypto.nonce();
  const bare = `n=${formatSaslName(authcid)},r=${nonce}`;
  let wait: Wait = { for: "serverFirst" };

  function onServerFirst(challenge: Uint8Array): Answer {
    const text = readText(challenge);
    const first = text === null ? null : readServerFirst(text);
    // A nonce that is not ours with something behind it is a replay (RFC 5802 §5.1).
    if (first === null || first.nonce.length <= nonce.length || !first.nonce.startsWith(nonce)) {
      return err("badChallenge");
    }
    if (first.iterations < MIN_SCRAM_ITERATIONS || first.iterations > MAX_SCRAM_ITERATIONS) return err("badIterations");
    const keys = deriveKeys(crypto, password, first.salt, first.iterations);
    const withoutProof = `c=${encodeBase64(bound)},r=${first.nonce}`;
    const signed = encodeUtf8(`${bare},${text},${withoutProof}`);
    const proof = xorOctets(keys.clientKey, crypto.hmac(keys.storedKey, signed));
    wait = { for: "serverFinal", serverSignature: crypto.hmac(keys.serverKey, signed) };
    return ok(encodeUtf8(`${withoutProof},p=${encodeBase64(proof)}`));
  }

  function onServerFinal(challenge: Uint8Array, serverSignature: Uint8Array): Answer {
    const [verdict = ""] = (readText(challenge) ?? "").split(",");
    if (verdict.startsWith("e=")) return err("serverRefused");
    const signature = verdict.startsWith("v=") ? decodeBase64(verdict.slice(2)) : null;
    if (signature === null) return err("badChallenge");
    if (!equalInConstantTime(signature, serverSignature)) return err("serverNotProved");
    wait = { for: "nothing", proved: true };
    return ok(EMPTY);
  }

  return {
    mechanism,
    initial: encodeUtf8(gs2Header + bare),
    next(challenge) {
      const waited = wait;
      wait = { for: "nothing", proved: false };
      if (waited.for === "serverFirst") return onServerFirst(challenge);
      if (waited.for === "serverFinal") return onServerFinal(challenge, waited.serverSignature);
      return err("unexpectedChallenge");
    },
    get complete() {
      return wait.for === "nothing" && wait.proved;
    },
  };
}
