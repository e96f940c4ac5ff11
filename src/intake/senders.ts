import { domainToASCII } from "node:url";
import { type Domain, type Mailbox, parseMailbox, parseMailDomain } from "../smtp/index.ts";
import type { Account, CredentialSource } from "./credential-source.ts";

/** What a user may write as a sender: one mailbox with its sub-addresses, every mailbox of a domain, or everything. */
export type SenderGrant =
  | { readonly kind: "address"; readonly mailbox: Mailbox }
  | { readonly kind: "domain"; readonly domain: Mailbox["domain"] }
  | { readonly kind: "any" };

/** Who may send as whom (RFC 6409 §6.1); the port to wherever that is kept. */
export interface Senders {
  /**
   * The grants of a user, the user's own address first: that one is written where a Sender or From has to be added. No grants: no
   * mail. May throw or reject; then the message is refused for now (451).
   */
  addressesOf(identity: string): readonly SenderGrant[] | Promise<readonly SenderGrant[]>;
}

/**
 * Who has no grants kept anywhere: a name with a domain is an address, and a name without one is that user at each domain of
 * this server.
 */
export function sendersByName(domains: readonly Domain[]): Senders {
  return {
    addressesOf(identity) {
      const candidates = identity.includes("@") ? [identity] : domains.map((domain) => `${identity}@${domain}`);
      return candidates.flatMap((candidate) => {
        const mailbox = parseMailbox(candidate);
        return mailbox.ok ? [{ kind: "address", mailbox: mailbox.value } as const] : [];
      });
    },
  };
}

/** The grants that a source of credentials keeps; none for somebody who may not send any more. */
export function sendersOf(source: Pick<CredentialSource, "account">, domains: readonly Domain[]): Senders {
  const named = sendersByName(domains);
  const grantsOf = async (identity: string, account: Account | null): Promise<readonly SenderGrant[]> => {
    if (account === null) return [];
    return account.byName ? [...(await named.addressesOf(identity)), ...account.grants] : account.grants;
  };
  return { addressesOf: async (identity) => grantsOf(identity, await source.account(identity)) };
}

/** Whether one of the grants covers a mailbox. */
export function covers(grants: readonly SenderGrant[], mailbox: Mailbox): boolean {
  return grants.some((grant) => grantCovers(grant, mailbox));
}

function grantCovers(grant: SenderGrant, mailbox: Mailbox): boolean {
  switch (grant.kind) {
    case "any":
      return true;
    case "domain":
      return asciiDomain(grant.domain) === asciiDomain(mailbox.domain);
    case "address":
      return asciiDomain(grant.mailbox.domain) === asciiDomain(mailbox.domain) && isOwnLocalPart(grant, mailbox);
  }
}

/**
 * The first address among the grants, its domain in A-labels, which everybody can read: what stands for the user where one has to
 * be written.
 */
export function ownAddress(grants: readonly SenderGrant[]): Mailbox | null {
  const mailbox = grants.find((grant) => grant.kind === "address")?.mailbox;
  return mailbox === undefined ? null : { ...mailbox, domain: inALabels(mailbox.domain) };
}

/** A domain as it may stand in any header section: without SMTPUTF8 there are no U-labels in one (RFC 6531 §3.2). */
export function inALabels(domain: Mailbox["domain"]): Mailbox["domain"] {
  const ascii = parseMailDomain(asciiDomain(domain));
  return ascii.ok ? ascii.value : domain;
}

/** RFC 5233 §1 calls what follows the `+` a detail: one mailbox under many names. Case means nothing, as in delivery. */
function isOwnLocalPart({ mailbox: own }: { readonly mailbox: Mailbox }, { localPart }: Mailbox): boolean {
  const mine = comparable(own.localPart);
  const theirs = comparable(localPart);
  return theirs === mine || theirs.startsWith(`${mine}+`);
}

/** The form by which delivery names mailboxes, so that nobody has a sub-address or a case that is somebody else's. */
function comparable(localPart: string): string {
  return localPart.normalize("NFC").toLowerCase();
}

/** By A-labels, so that both spellings of an internationalized domain are one. */
function asciiDomain(domain: Mailbox["domain"]): string {
  if (/^[\u0000-\u007f]*$/.test(domain)) return domain;
  return domainToASCII(domain) || domain;
}
