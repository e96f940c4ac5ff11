import type { HostOptions } from "./host.ts";
import type { LinkEnd } from "./link-end.ts";
import { readMessage } from "./read-message.ts";
import type { SimulatedCertificate } from "./tls.ts";

/**
 * What is missing of the protection that mail for this mailbox demands, or null. `shown`: the certificate, null in clear text.
 * `by`: our end of the connection it comes by.
 */
export function lackingProtection(
  { demand, proves }: Pick<HostOptions, "demand" | "proves">,
  { shown, by }: { readonly shown: SimulatedCertificate | null; readonly by: LinkEnd },
  mailbox: string,
): string | null {
  const demanded = demand(mailbox.slice(mailbox.lastIndexOf("@") + 1), by);
  if (demanded === "nothing") return null;
  if (shown === null) return `RCPT for ${mailbox} in clear text`;
  return demanded === "proof" && !proves(shown) ? `RCPT for ${mailbox} with a certificate that proves nothing` : null;
}

/**
 * Whether a message that came without REQUIRETLS should have had it (RFC 8689 §4.2.1). Reports go without it (§5), and so does
 * the last step home.
 */
export function lackingRequireTls(
  { protocol, requiresTls }: Pick<HostOptions, "protocol" | "requiresTls">,
  octets: Uint8Array,
): string | null {
  const { token, messageId } = readMessage(octets);
  if (protocol === "lmtp" || token === null || messageId?.host !== "sim") return null;
  return requiresTls(token) ? `${token} came without its REQUIRETLS` : null;
}
