import { isIP } from "node:net";
import { domainToASCII } from "node:url";

/**
 * A domain as DNS is asked for it: lower-case A-labels (RFC 5890 §2.3.2.1), or a literal as it is. Null where a U-label has no
 * A-label. ASCII names are not sent through the URL rules, which would read `1.2` as an IP address.
 */
export function asciiDomain(domain: string): string | null {
  if (domain.startsWith("[")) return domain;
  if (/^[\x21-\x7e]+$/.test(domain)) return domain.toLowerCase();
  const ascii = domainToASCII(domain);
  if (ascii === "" || ascii.length > 253 || isIP(ascii) !== 0) return null;
  return ascii;
}
