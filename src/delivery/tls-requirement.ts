import { createHash } from "node:crypto";
import type { ClientTls } from "../client/index.ts";
import type { KeyPair, TlsaRecord } from "../net/index.ts";
import type { AppliedPolicy, TlsResultType } from "../trust/index.ts";

/** What the host's certificate must show. */
export type TlsProof =
  | { readonly kind: "nothing" }
  /** It names one of `names` and chains to `ca` (PEM; null: the authorities trusted by default), or its key is one of `pins`. */
  | {
      readonly kind: "name";
      readonly names: readonly string[];
      readonly ca: readonly string[] | null;
      /** SHA-256 over the SubjectPublicKeyInfo, hex in lower case. */
      readonly pins: readonly string[];
    }
  /** It matches one of the TLSA records, and for usage 2 names one of `names` (RFC 7672 §3). */
  | { readonly kind: "dane"; readonly names: readonly string[]; readonly records: readonly TlsaRecord[] };

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** What a remembered proof added to a requirement; a host that does not show it has fallen below what it proved before. */
export interface HeldTo {
  readonly tls: boolean;
  readonly version: boolean;
  readonly name: boolean;
}

/** What is known to be wrong with what a domain publishes, whatever comes of the session; told in TLS reports (RFC 8460 §4.3.2). */
export interface PolicyFlaw {
  readonly type: TlsResultType;
  readonly reason: string;
}

/** What a connection to one host must prove, decided before it is made, with the reason in words. */
export interface TlsRequirement {
  readonly mode: ClientTls["kind"];
  readonly proof: TlsProof;
  /** Sent as SNI: the host's name, for DANE the TLSA base domain (RFC 7672 §8.1). Null for IP addresses (RFC 6066 §3). */
  readonly serverName: string | null;
  readonly minVersion: TlsVersion;
  /** The host must offer REQUIRETLS after the handshake (RFC 8689 §4.2.1). */
  readonly requireTls: boolean;
  /** Shown when the host asks for one. */
  readonly clientCertificate: KeyPair | null;
  /**
   * What the certificate should prove as well, for a policy that only watches: what is lacking is told and stops nothing. Only beside
   * a proof of "nothing".
   */
  readonly watched: TlsProof | null;
  /** The policy that reports name for this session; null where it is not reported: a hop of ours, or a second try. */
  readonly policy: AppliedPolicy | null;
  readonly flaw: PolicyFlaw | null;
  readonly held: HeldTo | null;
  /** `verified (route "example.org")`; kept with the delivery. */
  readonly rule: string;
}

/** What a connection has proven, as the log and metrics name it: the most that holds of these. */
export type Proven = "dane" | "mta-sts" | "verified" | "encrypted" | "opportunistic" | "clear";

/**
 * What a connection that met this requirement has proven: `dane`, or its name by `mta-sts` (a policy in mode enforce) or otherwise
 * (`verified`: a route, REQUIRETLS, what it proved before); else nothing, over TLS that was demanded (`encrypted`), or that could have been
 * left out (`opportunistic`), or in clear text.
 */
export function provenBy({ mode, proof, policy }: TlsRequirement, secure: boolean): Proven {
  if (!secure) return "clear";
  if (proof.kind === "dane") return "dane";
  if (proof.kind === "nothing") return mode === "opportunistic" ? "opportunistic" : "encrypted";
  const enforced = policy?.type === "sts" && policy.strings.some((line) => ENFORCED.test(line));
  return enforced ? "mta-sts" : "verified";
}

/** RFC 8461 §3.2: a line of a policy. */
const ENFORCED = /^mode[ \t]*:[ \t]*enforce[ \t]*$/;

/** The same connection in clear text, after a handshake that failed where nothing demanded TLS. */
export function withoutTls(requirement: TlsRequirement): TlsRequirement {
  return {
    ...requirement,
    mode: "none",
    rule: `clear text after a failed handshake, as the setting or the message allows; ${requirement.rule}`,
    // Clear text after the policy's session failed is no further result for the domain's report.
    watched: null,
    policy: null,
    flaw: null,
    held: null,
  };
}

/**
 * All that is demanded of a connection, as text: two requirements have the same text only if each demands what the other does.
 * For whom it was decided is not in it, so that domains which demand the same share a session, and no others do.
 */
export function demandKey(requirement: TlsRequirement): string {
  const { mode, proof, watched, serverName, minVersion, requireTls, clientCertificate } = requirement;
  const shown = clientCertificate === null ? null : digest(clientCertificate);
  const seen = watched === null ? null : proofKey(watched);
  return JSON.stringify([mode, proofKey(proof), seen, serverName, minVersion, requireTls, shown]);
}

function proofKey(proof: TlsProof): readonly unknown[] {
  switch (proof.kind) {
    case "nothing":
      return [proof.kind];
    case "name":
      return [proof.kind, proof.names, proof.ca === null ? null : digest(proof.ca), proof.pins];
    case "dane":
      return [proof.kind, proof.names, proof.records.map(formatTlsa)];
  }
}

/** `3 1 1 abcd…`, as zone files and reports write it (RFC 6698 §2.2). */
export function formatTlsa({ usage, selector, matchingType, data }: TlsaRecord): string {
  return `${usage} ${selector} ${matchingType} ${Array.from(data, (octet) => octet.toString(16).padStart(2, "0")).join("")}`;
}

/** A route holds its authorities and its key pair for as long as it stands, so that each is read through once. */
const digests = new WeakMap<object, string>();

function digest(value: readonly string[] | KeyPair): string {
  const known = digests.get(value);
  if (known !== undefined) return known;
  const text = JSON.stringify("privateKey" in value ? [value.certificate, value.privateKey] : value);
  const made = createHash("sha256").update(text).digest("base64");
  digests.set(value, made);
  return made;
}
