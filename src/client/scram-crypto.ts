import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import type { ScramCrypto } from "../smtp/index.ts";

const DIGEST = "sha256";
const DIGEST_OCTETS = 32;
const NONCE_OCTETS = 24;

/** Node's cryptography for SCRAM-SHA-256. */
export const nodeScramCrypto: ScramCrypto = {
  hash: (data) => createHash(DIGEST).update(data).digest(),
  hmac: (key, data) => createHmac(DIGEST, key).update(data).digest(),
  pbkdf2: (password, salt, iterations) => pbkdf2Sync(password, salt, iterations, DIGEST_OCTETS, DIGEST),
  nonce: () => randomBytes(NONCE_OCTETS).toString("base64"),
};
