import { inNetworks } from "./networks.ts";

/** IPv4 that is not for hosts of the Internet at large (IANA's special-purpose registry, RFC 6890; multicast and class E). */
const SPECIAL_IPV4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
] as const;

/** Of IPv6 only this is given out to hosts; below it, what documents, tunnels and protocols use. */
const GLOBAL_IPV6 = ["2000::/3"] as const;
const SPECIAL_IPV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"] as const;

const isSpecial = inNetworks([...SPECIAL_IPV4, ...SPECIAL_IPV6]);
const isGlobal = inNetworks(["0.0.0.0/0", ...GLOBAL_IPV6]);

/**
 * Whether an IP address is one of the Internet at large: neither private nor of this machine or link, nor set aside for another
 * purpose. A name that a stranger chose must not lead us to any other.
 */
export function isPublicAddress(address: string): boolean {
  return isGlobal(address) && !isSpecial(address);
}
