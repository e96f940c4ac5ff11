/** Counts the connections of each address and in all, so that one peer cannot take every place. */
export class Admission {
  readonly #inAll: number;
  readonly #perAddress: number;
  readonly #counts = new Map<string, number>();
  #total = 0;

  constructor(limits: { readonly connections: number; readonly connectionsPerAddress: number }) {
    this.#inAll = limits.connections;
    this.#perAddress = limits.connectionsPerAddress;
  }

  /** Takes a place for `address`; null where there is none left. The place is given back by calling the result, once. */
  enter(address: string): (() => void) | null {
    const key = addressGroup(address);
    const count = this.#counts.get(key) ?? 0;
    if (this.#total >= this.#inAll || count >= this.#perAddress) return null;
    this.#total++;
    this.#counts.set(key, count + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#leave(key);
    };
  }

  #leave(key: string): void {
    this.#total--;
    const count = (this.#counts.get(key) ?? 1) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

/** What counts as one peer: an IPv4 address, or the /64 of an IPv6 one, which is the least that a single customer is given. */
function addressGroup(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.toLowerCase().replace(/%.*$/, "").split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(gap).fill("0"), ...right];
  const prefix = groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ""));
  return `${prefix.join(":")}::/64`;
}
