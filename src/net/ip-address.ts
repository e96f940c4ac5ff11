import { isIPv4, isIPv6 } from "node:net";

/** The 4 or 16 octets of an IP address in text form (without a zone), or null where it is none. */
export function ipOctets(address: string): Uint8Array | null {
  if (isIPv4(address)) return Uint8Array.from(address.split("."), Number);
  if (!isIPv6(address) || address.includes("%")) return null;
  // The URL parser writes the groups in hex, an embedded IPv4 address included; only `::` is left to fill.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail = ""] = canonical.split("::");
  const front = groupsOf(head);
  const back = groupsOf(tail);
  const groups = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function groupsOf(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

/** The text form of 4 or 16 octets; of IPv6 the canonical one (RFC 5952 §4). */
export function formatIp(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  const groups: string[] = [];
  for (let at = 0; at < octets.length; at += 2) {
    groups.push((((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0)).toString(16));
  }
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

/** The name under which the PTR records of an address are found (RFC 1035 §3.5, RFC 3596 §2.5), or null where it is none. */
export function reverseName(address: string): string | null {
  const octets = ipOctets(address);
  if (octets === null) return null;
  if (octets.length === 4) return `${[...octets].reverse().join(".")}.in-addr.arpa`;
  const nibbles = [...octets].reverse().flatMap((octet) => [(octet & 0x0f).toString(16), (octet >> 4).toString(16)]);
  return `${nibbles.join(".")}.ip6.arpa`;
}
