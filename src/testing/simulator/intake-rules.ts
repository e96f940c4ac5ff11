import type { NodeSettings } from "./configuration.ts";
import type { Copy, Ledger } from "./ledger.ts";

/** Holds what a node has taken over the network against whom it may take mail from, and for whom. */
export function checkTaken(copy: Copy, { domain }: NodeSettings, ledger: Ledger): void {
  const submission = copy.token === null || copy.parent !== null ? undefined : ledger.submissions.get(copy.token);
  const isOutside = submission?.from === "outsider";
  for (const { address } of copy.recipients) {
    const at = address.lastIndexOf("@");
    const isOwn = address.slice(at + 1) === domain.name;
    const known = domain.recipients.length === 0 || domain.recipients.includes(address.slice(0, at));
    if (isOutside && !isOwn) ledger.breach("nobody outside sends to elsewhere", `${copy.key} for ${address}`);
    if (isOwn && !known) ledger.breach("mail for nobody is refused", `${copy.key} for ${address}`);
  }
}
