// DNS as a configuration has it asked.
import { isIPv4 } from "node:net";
import type { Config } from "../config/index.ts";
import { createResolver, type Resolver, type ResolverOptions } from "../net/index.ts";

/** Asks the configured servers, or the system's where none are. Once `signal` is given, what is still being asked is given up. */
export function configuredResolver(config: Pick<Config, "dns">, signal?: AbortSignal): Resolver {
  return createResolver({ ...resolverOptions(config), ...(signal === undefined ? {} : { signal }) });
}

/** Asks whom `current` names at that moment. */
export function changingResolver(current: () => Resolver): Resolver {
  return {
    mx: (name) => current().mx(name),
    addresses: (name, family) => current().addresses(name, family),
    txt: (name) => current().txt(name),
    reverse: (address) => current().reverse(address),
    tlsa: (name) => current().tlsa(name),
    cname: (name) => current().cname(name),
    srv: (name) => current().srv(name),
  };
}

/** As `configuredResolver` makes one. */
export function resolverOptions({ dns }: Pick<Config, "dns">): ResolverOptions {
  const servers = dns.servers.map(({ address, port }) =>
    isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`,
  );
  // An empty list would mean that there is nobody to ask.
  return { ...(servers.length === 0 ? {} : { servers }), trustAd: dns.trustAd };
}
