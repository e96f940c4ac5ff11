import { isPostmaster, type Mailbox } from "../../smtp/index.ts";
import type { LocalDomain } from "../route.ts";
import { mailboxPath, userOf } from "./mailbox-path.ts";

/**
 * Whether a mailbox of this domain exists: known when it is offered, so that a mistyped address is refused to whoever
 * wrote it, and no report goes to a sender who may be forged. Local parts are compared as mailboxes are named: without
 * sub-address and case.
 */
export function hasMailbox({ recipients, deliver }: LocalDomain, mailbox: Mailbox): boolean {
  if (deliver.kind === "maildir" && mailboxPath(deliver.path, mailbox) === null) return false;
  if (recipients === undefined || recipients.includes("*") || isPostmaster(mailbox.localPart)) return true;
  const user = userOf(mailbox.localPart);
  return user !== null && recipients.some((name) => userOf(name) === user);
}
