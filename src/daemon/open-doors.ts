// Settings that let in whoever comes, where they name who may.
import type { Config } from "../config/index.ts";

/** Networks of those who are trusted that are next to everybody; one plain line each. */
export function openDoors({ relay, listeners }: Pick<Config, "relay" | "listeners">): readonly string[] {
  const to = (key: string, networks: readonly string[], consequence: string): string[] =>
    networks.filter(isVast).map((network) => `${key} ${network}: ${consequence}; name the hosts and networks you know`);
  return [
    ...to("[relay] networks", relay.networks, "whoever comes from there may send anywhere, which is an open relay"),
    ...listeners.flatMap(({ proxy, xclient }) => [
      ...to(
        "[[listener]] proxy",
        proxy,
        "whoever comes from there says which client he is, and may relay as one that may",
      ),
      ...to("[[listener]] xclient", xclient, "whoever comes from there says which client and which user he is"),
    ]),
  ];
}

/** Larger than any private network (10.0.0.0/8 and fc00::/7 are the largest), so that strangers are in it. */
function isVast(network: string): boolean {
  const [address = "", prefix] = network.split("/");
  if (!address.includes(":")) return Number(prefix) < 8;
  return Number(prefix) < 16 && !/^f[cde]/i.test(address);
}
