import type { HostProof } from "./model.ts";

const VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

const AUTHENTICATED: Record<HostProof["authenticated"], number> = { no: 0, name: 1, dane: 2 };

/** `shown` is at least `known`, kind by kind. */
export function covers(shown: HostProof, known: HostProof): boolean {
  return (
    (shown.tls || !known.tls) &&
    rank(shown.version) >= rank(known.version) &&
    AUTHENTICATED[shown.authenticated] >= AUTHENTICATED[known.authenticated]
  );
}

/** The better of both, kind by kind. */
export function strongest(one: HostProof, other: HostProof): HostProof {
  return {
    tls: one.tls || other.tls,
    version: rank(one.version) >= rank(other.version) ? one.version : other.version,
    authenticated:
      AUTHENTICATED[one.authenticated] >= AUTHENTICATED[other.authenticated] ? one.authenticated : other.authenticated,
  };
}

function rank(version: string | null): number {
  return version === null ? -1 : VERSIONS.indexOf(version);
}
