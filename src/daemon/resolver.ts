// DNS as a configuration has it asked.
import { isIPv4 } from "node:net";
import type { Config } from "../config/index.ts";
import { createResolver, type Resolver, type ResolverOptions } from "../net/index.ts";

/** Asks the configured servers, or the system's where none are. Once `signal` is given, what is still being asked is given up. */
export function configuredResolver(config: Pick<Config, "dns">, signal?: AbortSignal): Resolver {
  return createResolver({ ...resolverOptions(config), ...(signal === undefined ? {} : { signal }) });
}

/** As `configuredResolver` makes one. */
export function resolverOptions({ dns }: Pick<Config, "dns">): ResolverOptions {
  const servers = dns.servers.map(({ address, port }) =>
    isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`,
  );
  // An empty list would mean that there is nobody to ask.
  return { ...(servers.length === 0 ? {} : { servers }), trustAd: dns.trustAd };
}
