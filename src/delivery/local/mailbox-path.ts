import type { Mailbox } from "../../smtp/index.ts";
import { asciiDomain } from "../ascii-domain.ts";

const MAX_NAME_OCTETS = 255;

/**
 * The folder of a mailbox: `template` with `{user}` and `{domain}` filled in; null where the mailbox names no folder that may
 * exist. A local part is a peer's text, so what goes into a path is checked, never repaired: no separator, no control, no
 * leading dot (`..`, and Maildir++ sub-folders), at most 255 octets.
 *
 * `{user}` is the local part without its sub-address (`ann+lists` is `ann`, RFC 5233), in lower case and in Unicode's composed
 * form. Deviation: RFC 5321 §2.4 leaves the case of local parts to the host where they end, which is this one; people write
 * their addresses in any case, and two folders for one person lose mail.
 */
export function mailboxPath(template: string, mailbox: Mailbox): string | null {
  const user = userOf(mailbox.localPart);
  const domain = asciiDomain(mailbox.domain);
  if (user === null || domain === null || !isSafeName(domain)) return null;
  // One pass, so that braces inside a local part are never filled in themselves.
  const path = template.replace(/\{(user|domain)\}/g, (_, name) => (name === "user" ? user : domain));
  return path.split("/").every((name) => octets(name) <= MAX_NAME_OCTETS) ? path : null;
}

/** The user that a local part names; null where it can name none. */
export function userOf(localPart: string): string | null {
  const plus = localPart.indexOf("+");
  const base = plus > 0 ? localPart.slice(0, plus) : localPart;
  const user = base.normalize("NFC").toLowerCase();
  return isSafeName(user) ? user : null;
}

function isSafeName(name: string): boolean {
  if (name === "" || name.startsWith(".")) return false;
  if (/[/\\\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)) return false;
  return octets(name) <= MAX_NAME_OCTETS;
}

function octets(text: string): number {
  return new TextEncoder().encode(text).length;
}
