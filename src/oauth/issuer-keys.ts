import { createLocalJWKSet, type JSONWebKeySet, type LocalJWKSet } from "jose";
import { type Clock, DAY, type Duration, type Instant, later, SECOND } from "../base/index.ts";

/** What jose finds a key in, by the header of a token. */
export type KeyFinder = LocalJWKSet;

export interface IssuerKeysOptions {
  /** Rejects where there are none to be had now. */
  readonly load: () => Promise<KeyFinder>;
  /** After this they are loaded again. */
  readonly lifetime: Duration;
  readonly clock: Pick<Clock, "now">;
}

/** A token by an unknown key makes them be loaded, and so could anybody: not more often than this. */
const LEAST_BETWEEN_LOADS = 30 * SECOND;
/** While the issuer does not answer, what it published last counts for so long. */
const LONGEST_USE = DAY;

interface Loaded {
  readonly finder: KeyFinder;
  readonly at: Instant;
}

/** The keys of an issuer, kept for a while and loaded anew when they change. */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #loaded: Loaded | null = null;
  #lastLoad: Instant | null = null;
  #lastFailure: unknown = null;
  #running: Promise<void> | null = null;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /** Rejects with the cause where there are none, and none can be had. */
  async current(): Promise<KeyFinder> {
    const { clock, lifetime } = this.#options;
    if (this.#loaded === null || clock.now() >= later(this.#loaded.at, lifetime)) await this.#load();
    const loaded = this.#loaded;
    if (loaded !== null && clock.now() < later(loaded.at, LONGEST_USE)) return loaded.finder;
    throw this.#lastFailure ?? new Error("the issuer's keys are too old, and no newer ones can be had");
  }

  /** After a token by a key that is not among the current ones: newer ones, or null where it is too soon to ask, or in vain. */
  async newer(than: KeyFinder): Promise<KeyFinder | null> {
    await this.#load();
    return this.#loaded === null || this.#loaded.finder === than ? null : this.#loaded.finder;
  }

  /** One at a time, whoever asks meanwhile waits for the same. A failure keeps what is there. */
  async #load(): Promise<void> {
    const now = this.#options.clock.now();
    if (this.#running === null && this.#lastLoad !== null && now < later(this.#lastLoad, LEAST_BETWEEN_LOADS)) return;
    this.#running ??= this.#loadNow(now).finally(() => {
      this.#running = null;
    });
    await this.#running;
  }

  async #loadNow(now: Instant): Promise<void> {
    this.#lastLoad = now;
    try {
      this.#loaded = { finder: await this.#options.load(), at: now };
      this.#lastFailure = null;
    } catch (error) {
      this.#lastFailure = error;
    }
  }
}

/** Reads a JSON Web Key Set. Throws with one plain line where it is none. */
export function readKeys(text: string): KeyFinder {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw new Error("the issuer's keys are not JSON");
  }
  if (!isKeySet(read)) throw new Error("the issuer's keys are no JSON Web Key Set (RFC 7517 §5)");
  return createLocalJWKSet(read);
}

function isKeySet(read: unknown): read is JSONWebKeySet {
  return (
    typeof read === "object" &&
    read !== null &&
    "keys" in read &&
    Array.isArray(read.keys) &&
    read.keys.every((key) => typeof key === "object" && key !== null && "kty" in key && typeof key.kty === "string")
  );
}
