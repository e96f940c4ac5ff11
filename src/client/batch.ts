import { announcedLimits, type Extensions, type Mailbox } from "../smtp/index.ts";

/** RFC 5321 §4.5.3.1.8: so many recipients every server takes in one transaction; more only where it says so. */
const RECIPIENTS = 100;

/** However many it says. */
const MOST_RECIPIENTS = 1000;

/** Recipients for one transaction, and those that are left. */
export interface Batch<T> {
  readonly now: readonly T[];
  readonly later: readonly T[];
}

/** Takes as many recipients as one transaction with a server of these extensions may have, in order (RFC 9422). */
export function takeBatch<T extends { readonly mailbox: Mailbox }>(
  recipients: readonly T[],
  extensions: Extensions,
): Batch<T> {
  const { rcptMax, rcptDomainMax } = announcedLimits(extensions);
  const most = Math.min(rcptMax ?? RECIPIENTS, MOST_RECIPIENTS);
  if (recipients.length <= most && rcptDomainMax === null) return { now: recipients, later: [] };
  const now: T[] = [];
  const later: T[] = [];
  const domains = new Set<string>();
  for (const recipient of recipients) {
    const { domain } = recipient.mailbox;
    const fits = now.length < most && (domains.has(domain) || domains.size < (rcptDomainMax ?? most));
    if (fits) domains.add(domain);
    (fits ? now : later).push(recipient);
  }
  return { now, later };
}

/** True when a session may begin one more transaction (RFC 9422). */
export function mayBegin(session: { readonly transactions: number; readonly extensions: Extensions }): boolean {
  const { mailMax } = announcedLimits(session.extensions);
  return mailMax === null || session.transactions < mailMax;
}
