import type { DnsAnswer, Resolver } from "../../net/index.ts";
import type { FakeResolver } from "../fake-resolver.ts";
import type { Life, VirtualLoop } from "./loop.ts";

/** How one question fares. */
export interface LookupFate {
  /** Milliseconds. */
  readonly delay: number;
  readonly failure: "servfail" | "timeout" | null;
}

/** The zone as one machine sees it: late, and not each time. */
export function simulatedResolver(parts: {
  readonly zone: FakeResolver;
  readonly loop: VirtualLoop;
  readonly life: Life;
  readonly fate: () => LookupFate;
  /** Nobody waits any more. */
  readonly signal: AbortSignal;
}): Resolver {
  const { zone, loop, life, fate, signal } = parts;
  const ask = <T>(answer: () => Promise<DnsAnswer<T>>): Promise<DnsAnswer<T>> =>
    new Promise((resolve) => {
      const { delay, failure: drawn } = fate();
      loop.after(delay, () => {
        if (!life.alive) return;
        const failure = signal.aborted ? "unreachable" : drawn;
        resolve(failure === null ? answer() : { kind: "failed", reason: failure, detail: failure });
      });
    });
  return {
    mx: (name) => ask(() => zone.mx(name)),
    addresses: (name, family) => ask(() => zone.addresses(name, family)),
    txt: (name) => ask(() => zone.txt(name)),
    reverse: (address) => ask(() => zone.reverse(address)),
    tlsa: (name) => ask(() => zone.tlsa(name)),
    cname: (name) => ask(() => zone.cname(name)),
    srv: (name) => ask(() => zone.srv(name)),
  };
}
