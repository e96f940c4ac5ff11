import type { X509Certificate } from "node:crypto";
import { childrenOf, type DerElement, derElements } from "./certificate-fields.ts";

const SEQUENCE = 0x30;
const PERMITTED = 0xa0;
const EXCLUDED = 0xa1;

/** The forms of a GeneralName (RFC 5280 §4.2.1.6). */
const DNS_NAME = 0x82;

/** How Node writes those other forms in a subjectAltName that a server's certificate may hold without being refused for it. */
const OTHER_FORMS: ReadonlyMap<number, string> = new Map([
  [0x81, "email:"],
  [0x86, "URI:"],
  [0x87, "IP Address:"],
]);

/**
 * What the name constraints of an authority have against a server's certificate, null when nothing. DNS names are compared; of the
 * other forms one that is constrained and occurs in the certificate is refused, as RFC 5280 §4.2.1.10 demands of those who do not
 * compare it.
 */
export function nameConstraintFault(value: Uint8Array, leaf: X509Certificate): string | null {
  const [constraints] = derElements(value) ?? [];
  if (constraints === undefined) return "has name constraints that cannot be read";
  const trees = childrenOf(constraints, SEQUENCE);
  const permitted = basesOf(trees, PERMITTED);
  const excluded = basesOf(trees, EXCLUDED);
  const written = (leaf.subjectAltName ?? "").split(", ");
  if ([...permitted, ...excluded].some(({ tag }) => tag !== DNS_NAME && occurs(tag, written))) {
    return "constrains names in a form that cannot be checked";
  }
  const names = written.flatMap((entry) =>
    entry.startsWith("DNS:") ? [entry.slice("DNS:".length).toLowerCase()] : [],
  );
  const [within, without] = [dnsTrees(permitted), dnsTrees(excluded)];
  // The common name would otherwise be a way around them.
  if (names.length === 0 && within.length + without.length > 0) return "constrains DNS names, and there are none";
  const stray = names.find(
    (name) =>
      (within.length > 0 && !within.some((tree) => isBelow(name, tree))) || without.some((tree) => touches(name, tree)),
  );
  return stray === undefined ? null : `may not certify ${stray}`;
}

/** Directory names, and forms that are not known, count as there: every certificate has a subject. */
function occurs(tag: number, written: readonly string[]): boolean {
  const form = OTHER_FORMS.get(tag);
  return form === undefined || written.some((entry) => entry.startsWith(form));
}

function basesOf(trees: readonly DerElement[], tag: number): readonly DerElement[] {
  const subtrees = trees.flatMap((tree) => childrenOf(tree, tag));
  return subtrees.flatMap((subtree) => childrenOf(subtree, SEQUENCE).slice(0, 1));
}

function dnsTrees(bases: readonly DerElement[]): readonly string[] {
  return bases.flatMap(({ tag, content }) =>
    tag === DNS_NAME ? [Buffer.from(content).toString("latin1").toLowerCase().replace(/^\./, "")] : [],
  );
}

const WILDCARD = "*.";

/** Whether all that a name, or a wildcard, stands for is in the tree. */
function isBelow(name: string, tree: string): boolean {
  const bare = name.startsWith(WILDCARD) ? name.slice(WILDCARD.length) : name;
  return tree === "" || bare === tree || bare.endsWith(`.${tree}`);
}

/** Whether some of it is. */
function touches(name: string, tree: string): boolean {
  return isBelow(name, tree) || (name.startsWith(WILDCARD) && tree.endsWith(name.slice(1)));
}
