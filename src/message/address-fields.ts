import { decodeUtf8Lenient, encodeUtf8, err, ok, type Result } from "../base/index.ts";
import type { Mailbox } from "../smtp/index.ts";
import { parseAddressList } from "./address-list.ts";
import type { AddressListProblem } from "./address-tokens.ts";
import type { HeaderField } from "./header.ts";

/** Why the addresses of a field are none that can be sent on; `field` is its name in lower case. */
export type AddressFault =
  | { readonly kind: "badAddress"; readonly field: string; readonly problem: AddressListProblem }
  | { readonly kind: "unqualified"; readonly field: string; readonly localPart: string };

/** An address field in which every address has a domain. */
export interface CompletedField {
  readonly mailboxes: readonly Mailbox[];
  /** The very octets of the field where nothing had to be completed. */
  readonly octets: Uint8Array;
}

/**
 * Puts `@domain` behind each bare local part of a field and changes nothing else in it. `qualify` gives the mailbox that a local
 * part means, null where it means none. The field is valid UTF-8.
 */
export function completeAddresses(
  field: HeaderField,
  qualify: (localPart: string) => Mailbox | null,
): Result<CompletedField, AddressFault> {
  const text = decodeUtf8Lenient(field.octets.subarray(field.valueAt));
  const list = parseAddressList(text);
  if (!list.ok) return err({ kind: "badAddress", field: field.name, problem: list.error });
  const mailboxes: Mailbox[] = [];
  let written = "";
  let from = 0;
  for (const address of list.value) {
    if (address.kind === "mailbox") {
      mailboxes.push(address.mailbox);
      continue;
    }
    const mailbox = qualify(address.localPart);
    if (mailbox === null) return err({ kind: "unqualified", field: field.name, localPart: address.localPart });
    mailboxes.push(mailbox);
    written += `${text.slice(from, address.end)}@${mailbox.domain}`;
    from = address.end;
  }
  if (from === 0) return ok({ mailboxes, octets: field.octets });
  const value = encodeUtf8(written + text.slice(from));
  const octets = new Uint8Array(field.valueAt + value.length);
  octets.set(field.octets.subarray(0, field.valueAt));
  octets.set(value, field.valueAt);
  return ok({ mailboxes, octets });
}
