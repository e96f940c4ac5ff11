import { domainToASCII } from "node:url";
import type { Domain, Mailbox } from "../smtp/index.ts";

/** The domains whose mail ends here, and where the postmaster is. */
export interface Home {
  /** True where mail to this mailbox is ours to take: its domain is ours, or it is the postmaster of this host. */
  takes(mailbox: Mailbox): boolean;
  /**
   * The mailbox under which it is queued: the postmaster of a host whose name is no domain of ours is the postmaster of our
   * first domain.
   */
  canonical(mailbox: Mailbox): Mailbox;
}

/** RFC 5321 §4.5.1: "postmaster" has no case. */
export function isPostmaster(mailbox: Mailbox): boolean {
  return mailbox.localPart.toLowerCase() === "postmaster";
}

/**
 * Domains are compared by their A-labels, so that both spellings of an internationalized domain are the same.
 *
 * Deviation: RFC 1123 §5.2.17 wants mail to an address literal of this host to be taken. A literal is treated like every foreign
 * domain, because nearly all such mail is abuse, and which addresses are "ours" is unknown behind address translation.
 */
export function createHome(options: { readonly hostname: Domain; readonly domains: readonly Domain[] }): Home {
  const ours = new Set(options.domains.map(toAscii));
  const hostname = toAscii(options.hostname);
  const first = options.domains[0];
  const isHostPostmaster = (mailbox: Mailbox): boolean =>
    isPostmaster(mailbox) && toAscii(mailbox.domain) === hostname && !ours.has(hostname);
  return {
    takes: (mailbox) => ours.has(toAscii(mailbox.domain)) || (first !== undefined && isHostPostmaster(mailbox)),
    canonical: (mailbox) =>
      first !== undefined && isHostPostmaster(mailbox) ? { localPart: mailbox.localPart, domain: first } : mailbox,
  };
}

function toAscii(domain: Mailbox["domain"]): string {
  if (/^[\u0000-\u007f]*$/.test(domain)) return domain;
  return domainToASCII(domain) || domain;
}
