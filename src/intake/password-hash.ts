import { argon2, randomBytes, timingSafeEqual } from "node:crypto";

/** What one password check costs whoever makes it. */
export interface HashCost {
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

/** The first choice of the OWASP Password Storage Cheat Sheet for argon2id: about 20 ms and 19 MiB. */
const DEFAULT_COST: HashCost = { memory: 19_456, passes: 2, parallelism: 1 };

const SALT_OCTETS = 16;
const TAG_OCTETS = 32;

/** `$argon2id$v=19$m=19456,t=2,p=1$SALT$TAG`, base64 without padding (the PHC string format). */
const PHC = /^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,4}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/**
 * Makes and checks argon2id hashes, few at a time: each one holds a thread of the pool that files and name lookups need
 * too, and 19 MiB. Checks beyond the bound wait in line, and beyond the line's bound are turned away.
 */
export class PasswordHasher {
  readonly #cost: HashCost;
  readonly #concurrency: number;
  readonly #waitingLimit: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: { readonly cost?: HashCost; readonly concurrency?: number; readonly waiting?: number } = {}) {
    this.#cost = options.cost ?? DEFAULT_COST;
    this.#concurrency = options.concurrency ?? 2;
    this.#waitingLimit = options.waiting ?? 64;
  }

  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_OCTETS);
    return this.#format(salt, await derive(password, salt, this.#cost, TAG_OCTETS));
  }

  /** A hash that no password matches, at the price of a true one: for users that do not exist. */
  decoy(): string {
    return this.#format(randomBytes(SALT_OCTETS), randomBytes(TAG_OCTETS));
  }

  /** Whether a hash was made at a lower cost than this one's, in any part of it. */
  isWeaker(phc: string): boolean {
    const [, memory, passes] = PHC.exec(phc) ?? [];
    return Number(memory) < this.#cost.memory || Number(passes) < this.#cost.passes;
  }

  /** "busy": too many wait already. Throws where `phc` is no argon2id hash: the file is damaged. */
  async verify(password: string, phc: string): Promise<boolean | "busy"> {
    const [, memory, passes, parallelism, salt, tag] = PHC.exec(phc) ?? [];
    if (salt === undefined || tag === undefined)
      throw new Error("a stored password hash is not in the argon2id format");
    const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
    if (this.#running >= this.#concurrency) {
      if (this.#waiting.length >= this.#waitingLimit) return "busy";
      // The one that ends hands its place over, so that `#running` never exceeds the bound in between.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      const expected = Buffer.from(tag, "base64");
      return timingSafeEqual(await derive(password, Buffer.from(salt, "base64"), cost, expected.length), expected);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #format(salt: Buffer, tag: Buffer): string {
    const { memory, passes, parallelism } = this.#cost;
    return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(tag)}`;
  }
}

function derive(password: string, salt: Buffer, cost: HashCost, tagLength: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    argon2("argon2id", { message: password, nonce: salt, tagLength, ...cost }, (error, tag) => {
      if (error === null) resolve(tag);
      else reject(error);
    });
  });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
