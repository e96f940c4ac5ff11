import { networkInterfaces } from "node:os";
import type { Endpoint } from "../net/index.ts";

/**
 * Tells whether an address and port is one that this server listens on, so that mail is never sent in a circle (RFC 5321 §5.1).
 * A listener on all addresses is reached by every address of this machine; those are read when this is made.
 */
export function selfTest(listeners: readonly Endpoint[]): (address: string, port: number) => boolean {
  const machine = listeners.some(isWildcard)
    ? Object.values(networkInterfaces()).flatMap((one) => (one ?? []).map(({ address }) => address))
    : [];
  const own = new Set<string>();
  for (const listener of listeners) {
    const { address, port } = listener;
    const reached = isWildcard(listener) ? [address, ...machine] : [address];
    for (const one of reached) own.add(key(one, port));
  }
  return (address, port) => own.has(key(address, port));
}

function isWildcard({ address }: Endpoint): boolean {
  return address === "0.0.0.0" || address === "::";
}

function key(address: string, port: number): string {
  return `${address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, "")} ${port}`;
}
