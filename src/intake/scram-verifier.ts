import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";

/** What a server keeps of a password for SCRAM-SHA-256: enough to check a proof, not to make one (RFC 5802 §3). */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

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
export async function makeScramVerifier(
  password: string,
  iterations: number = ITERATIONS,
  salt: Uint8Array = randomBytes(SALT_OCTETS),
): Promise<ScramVerifier> {
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

export function formatScramVerifier(verifier: ScramVerifier): string {
  const [salt, storedKey, serverKey] = [verifier.salt, verifier.storedKey, verifier.serverKey].map((bytes) =>
    Buffer.from(bytes).toString("base64"),
  );
  return `SCRAM-SHA-256$${verifier.iterations}:${salt}$${storedKey}:${serverKey}`;
}

/** Throws where `text` is no verifier: the file is damaged. */
export function readScramVerifier(text: string): ScramVerifier {
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
