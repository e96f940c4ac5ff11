import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import type { ScramKeys } from "../smtp/index.ts";

/**
 * RFC 7677 §4 asks for at least 4096 and recommends more. Whoever steals the users file tries passwords against the cheaper of
 * the two hashes, so that this many make one try cost about what the argon2id hash beside it does.
 */
const ITERATIONS = 65_536;

const SALT_OCTETS = 16;
const KEY_OCTETS = 32;

/** `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`, base64: the form of RFC 5803 §3 as PostgreSQL writes it. */
const FORM = /^SCRAM-SHA-256\$(\d{4,7}):([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/;

/** Makes the verifier of a password that went through SASLprep. A salt is given only to repeat a known one. */
export async function makeScramKeys(
  password: string,
  iterations: number = ITERATIONS,
  salt: Uint8Array = randomBytes(SALT_OCTETS),
): Promise<ScramKeys> {
  const salted = await new Promise<Buffer>((resolve, reject) => {
    pbkdf2(password, salt, iterations, KEY_OCTETS, "sha256", (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  return {
    iterations,
    salt,
    storedKey: createHash("sha256").update(clientKey).digest(),
    serverKey: createHmac("sha256", salted).update("Server Key").digest(),
  };
}

export function formatScramKeys(keys: ScramKeys): string {
  const [salt, storedKey, serverKey] = [keys.salt, keys.storedKey, keys.serverKey].map((bytes) =>
    Buffer.from(bytes).toString("base64"),
  );
  return `SCRAM-SHA-256$${keys.iterations}:${salt}$${storedKey}:${serverKey}`;
}

/** Throws where `text` is no verifier: the file is damaged. */
export function readScramKeys(text: string): ScramKeys {
  const [, iterations, salt, storedKey, serverKey] = FORM.exec(text) ?? [];
  if (salt === undefined || storedKey === undefined || serverKey === undefined) {
    throw new Error("a stored SCRAM verifier is not in the SCRAM-SHA-256 format");
  }
  return {
    iterations: Number(iterations),
    salt: Buffer.from(salt, "base64"),
    storedKey: Buffer.from(storedKey, "base64"),
    serverKey: Buffer.from(serverKey, "base64"),
  };
}

/** Whether a verifier was made with fewer iterations. */
export function isWeakerScram(text: string, iterations: number = ITERATIONS): boolean {
  return readScramKeys(text).iterations < iterations;
}

/** What is shown for a user who does not exist: the same each time, in looks that of a user, matched by no password. */
export function decoyScramKeys(secret: Uint8Array, name: string, iterations: number = ITERATIONS): ScramKeys {
  const derive = (use: string): Buffer => createHmac("sha256", secret).update(`${use}\0${name}`).digest();
  return {
    iterations,
    salt: derive("salt").subarray(0, SALT_OCTETS),
    storedKey: derive("stored key"),
    serverKey: derive("server key"),
  };
}
