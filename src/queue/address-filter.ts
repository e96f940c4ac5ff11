/** Which senders and recipients a listing asks for; a null local part means every mailbox of the domain. */
export interface AddressFilter {
  readonly localPart: string | null;
  readonly domain: string;
}

/**
 * Reads `mailbox@domain` or `@domain`. Lenient, since a text that names no mailbox simply matches nothing. The local part may
 * be quoted (RFC 5321 §4.1.2); the domain has no case.
 */
export function readAddressFilter(text: string): AddressFilter {
  const at = text.lastIndexOf("@");
  const domain = text.slice(at + 1).toLowerCase();
  if (at <= 0) return { localPart: null, domain };
  const written = text.slice(0, at);
  const quoted = written.length >= 2 && written.startsWith('"') && written.endsWith('"');
  return { localPart: quoted ? written.slice(1, -1).replaceAll(/\\(.)/g, "$1") : written, domain };
}

export function matchesFilter(
  filter: AddressFilter,
  mailbox: { readonly localPart: string; readonly domain: string },
): boolean {
  return mailbox.domain === filter.domain && (filter.localPart === null || filter.localPart === mailbox.localPart);
}
