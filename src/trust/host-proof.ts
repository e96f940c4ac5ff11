import type { HostProof } from "./model.ts";

/**
 * In place of a version: the host fell and then showed all of it again. Several machines may stand behind its name, not all of one
 * version, and nobody gains by TLS 1.2 who could not have shown a certificate of his own in TLS 1.3.
 */
export const MIXED = "mixed";

const VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

const AUTHENTICATED: Record<HostProof["authenticated"], number> = { no: 0, name: 1, dane: 2 };

/** `shown` is at least `known`, kind by kind. */
export function covers(shown: HostProof, known: HostProof): boolean {
  return (
    (shown.tls || !known.tls) &&
    (shown.version === MIXED || known.version === MIXED || rank(shown.version) >= rank(known.version)) &&
    AUTHENTICATED[shown.authenticated] >= AUTHENTICATED[known.authenticated]
  );
}

/** The better of both, kind by kind. */
export function strongest(one: HostProof, other: HostProof): HostProof {
  return {
    tls: one.tls || other.tls,
    version: [one.version, other.version].includes(MIXED)
      ? MIXED
      : rank(one.version) >= rank(other.version)
        ? one.version
        : other.version,
    authenticated:
      AUTHENTICATED[one.authenticated] >= AUTHENTICATED[other.authenticated] ? one.authenticated : other.authenticated,
  };
}

function rank(version: string | null): number {
  return version === null ? -1 : VERSIONS.indexOf(version);
}
