import { BlockList, isIP, isIPv4 } from "node:net";

/**
 * A test for addresses inside any of the networks: `10.0.0.0/8`, `2001:db8::/32`, or one address. An IPv4 address that comes
 * as a mapped IPv6 one is the same address; what is no IP address is in none. Throws a `TypeError` on a network that is none.
 */
export function inNetworks(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", prefix, ...more] = network.split("/");
    const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1;
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
    if (more.length > 0 || length < 0 || length > bits) throw new TypeError(`not a network: ${network}`);
    list.addSubnet(address, length, bits === 32 ? "ipv4" : "ipv6");
  }
  return (text) => {
    const address = text.replace(/^::ffff:(?=\d+\.)/i, "");
    return isIP(address) !== 0 && list.check(address, isIPv4(address) ? "ipv4" : "ipv6");
  };
}
