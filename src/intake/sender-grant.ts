import { err, ok, type Result } from "../base/index.ts";
import { formatMailbox, parseMailbox, parseMailDomain } from "../smtp/index.ts";
import type { SenderGrant } from "./senders.ts";

/** `ann@example.org`, `@example.org` for every mailbox of a domain, `*` for everything. The error is the end of a sentence. */
export function parseSenderGrant(text: string): Result<SenderGrant, string> {
  if (text === "*") return ok({ kind: "any" });
  if (text.startsWith("@")) {
    const domain = parseMailDomain(text.slice(1));
    return domain.ok ? ok({ kind: "domain", domain: domain.value }) : err(`"${text}" names no domain`);
  }
  const mailbox = parseMailbox(text);
  if (!mailbox.ok) return err(`"${text}" is no address such as ann@example.org, no @example.org, and not *`);
  return ok({ kind: "address", mailbox: mailbox.value });
}

/** The one form under which a grant is kept: domains in lower case. */
export function formatSenderGrant(grant: SenderGrant): string {
  switch (grant.kind) {
    case "any":
      return "*";
    case "domain":
      return `@${grant.domain}`;
    case "address":
      return formatMailbox(grant.mailbox);
  }
}
