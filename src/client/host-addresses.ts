import { lookup } from "node:dns/promises";
import { err, messageOf, ok, type Result } from "../base/index.ts";

/**
 * The addresses of a server named by the user, as the operating system finds them (hosts file included, which `net`'s resolver
 * for mail routing leaves out), in the system's order of preference. An IP address is itself. `error` is local text.
 */
export async function hostAddresses(host: string): Promise<Result<readonly string[], string>> {
  try {
    const found = await lookup(bareAddress(host), { all: true, order: "verbatim" });
    return ok(found.map(({ address }) => address));
  } catch (reason) {
    return err(messageOf(reason));
  }
}

/** `host` without the brackets that an IPv6 address may stand in. */
export function bareAddress(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}
