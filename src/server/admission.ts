import { addressGroup } from "../net/index.ts";
/** One connection, counted. */
export interface Place {
  /** Counts it under this address from now on; false, and nothing has changed, where that address has all it may have. */
  move(address: string): boolean;
  /** Gives the place back. A second call does nothing. */
  leave(): void;
}

interface AdmissionLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
}

/** Counts the connections of each address and in all, so that one peer cannot take every place. */
export class Admission {
  #inAll = 0;
  #perAddress = 0;
  readonly #counts = new Map<string, number>();
  #total = 0;

  constructor(limits: AdmissionLimits) {
    this.renew(limits);
  }

  /** Whoever has a place keeps it, also beyond a smaller limit. */
  renew(limits: AdmissionLimits): void {
    this.#inAll = limits.connections;
    this.#perAddress = limits.connectionsPerAddress;
  }

  /**
   * Takes a place for `address`; null where there is none left. With a null address it counts in all only: a proxy brings the
   * clients of many addresses, and each is counted by `Place.move` when it is known.
   */
  enter(address: string | null): Place | null {
    if (this.#total >= this.#inAll) return null;
    const key = address === null ? null : addressGroup(address);
    if (key !== null && !this.#take(key)) return null;
    this.#total++;
    return new TakenPlace(this, key);
  }

  /** For `Place.move`: false, and nothing has changed, where `to` has all it may have. */
  exchange(from: string | null, to: string): boolean {
    if (to === from) return true;
    if (!this.#take(to)) return false;
    if (from !== null) this.#give(from);
    return true;
  }

  /** For `Place.leave`. */
  release(key: string | null): void {
    this.#total--;
    if (key !== null) this.#give(key);
  }

  #take(key: string): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.#perAddress) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  #give(key: string): void {
    const count = (this.#counts.get(key) ?? 1) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

class TakenPlace implements Place {
  readonly #admission: Admission;
  #key: string | null;
  #held = true;

  constructor(admission: Admission, key: string | null) {
    this.#admission = admission;
    this.#key = key;
  }

  move(address: string): boolean {
    const to = addressGroup(address);
    if (!this.#held || !this.#admission.exchange(this.#key, to)) return false;
    this.#key = to;
    return true;
  }

  leave(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#admission.release(this.#key);
  }
}
