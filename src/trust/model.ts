import type { Instant } from "../base/index.ts";
import type { TlsaRecord } from "../net/index.ts";

/** What DNS says of a host's keys (RFC 7672 §2). */
export type DaneFinding =
  /** There is nothing to hold the host to; `reason` in words, for the operator. */
  | { readonly kind: "none"; readonly reason: string }
  /** At least one usable record. The certificate must match one, and for usage 2 name one of `names`. */
  | {
      readonly kind: "records";
      /** Where they were found: `_25._tcp.mx.example.net`. */
      readonly owner: string;
      /** The TLSA base domain, sent as SNI (RFC 7672 §8.1). */
      readonly base: string;
      readonly names: readonly string[];
      /** The usable ones. */
      readonly records: readonly TlsaRecord[];
    }
  /** Records, validated and none of them usable: TLS is demanded, any certificate will do (RFC 7672 §2.2). */
  | { readonly kind: "unusable"; readonly owner: string; readonly base: string; readonly reason: string }
  /** The lookup failed: the host must not be used now (RFC 7672 §2.1.2). */
  | { readonly kind: "failed"; readonly detail: string };

/** What a recipient's domain demands by MTA-STS (RFC 8461). */
export type StsFinding =
  /**
   * No policy is known, or it says `none`. `failure` where one was announced and could not be had; `unknown` where we could not look,
   * since the TXT lookup failed.
   */
  | { readonly kind: "none"; readonly reason: string; readonly failure: StsFailure | null; readonly unknown?: true }
  | { readonly kind: "policy"; readonly policy: StsPolicy; readonly failure: StsFailure | null }
  /**
   * One is announced that is not kept, and it was not asked for: there was no place among the fetches that run. Mail must not go as though
   * there were none; `again`: when there may be a place.
   */
  | { readonly kind: "pending"; readonly reason: string; readonly failure: null; readonly again: Instant };

/** Why a policy, or a newer one, was not had; RFC 8460 §4.3.2 names the types. */
export interface StsFailure {
  readonly type: "sts-policy-fetch-error" | "sts-policy-invalid" | "sts-webpki-invalid";
  readonly detail: string;
}

export interface StsPolicy {
  /** Lower case A-labels. */
  readonly domain: string;
  /** Of the TXT record that announced it. */
  readonly id: string;
  readonly mode: "enforce" | "testing";
  /** `mail.example.net` or `*.example.net`, lower case. */
  readonly mx: readonly string[];
  /** The lines of the policy as fetched, for reports (RFC 8460 §4.4). */
  readonly lines: readonly string[];
  readonly fetchedAt: Instant;
  readonly expiresAt: Instant;
}

/** The policies of recipient domains. Never rejects, and never waits longer than the time of one fetch. */
export interface StsPolicies {
  find(domain: string): Promise<StsFinding>;
}

/** What a connection to a host has shown. */
export interface HostProof {
  readonly tls: boolean;
  /** `TLSv1.2`, `TLSv1.3`; null without TLS. */
  readonly version: string | null;
  /** How its certificate was proven, where that was demanded. */
  readonly authenticated: "no" | "name" | "dane";
}

/**
 * What a host last proved, for mail to one domain. `version` is `mixed` where it fell and then showed all of it again: it is held to no
 * version any more.
 */
export interface RememberedHost extends HostProof {
  readonly domain: string;
  readonly host: string;
  readonly provenAt: Instant;
  /** Since when it shows less than that; null while it does not. */
  readonly fellAt: Instant | null;
}

/**
 * What hosts have proven, so that one which shows less is noticed: it is held to what it proved for a set time and then believed.
 * Names in lower case. Synchronous and cheap enough to ask for each connection.
 */
export interface HostMemory {
  /** What it is to be held to now; null when nothing is known, or the time for holding it to that is over. */
  recall(domain: string, host: string): RememberedHost | null;
  /** A session stands and showed this. Less than remembered replaces it only once `recall` gives null. */
  proved(domain: string, host: string, proof: HostProof): void;
  /** It did not show what it proved before; returns when it will be believed. The first time counts. */
  fell(domain: string, host: string): Instant;
  /** It hung or hung up on the large ClientHello: classical groups only, for a while (`host` with or without a domain). */
  classicalOnly(host: string): boolean;
  rememberClassical(host: string): void;
}

/** Types of RFC 8460 §4.3, and success. */
export type TlsResultType =
  | "success"
  | "starttls-not-supported"
  | "certificate-host-mismatch"
  | "certificate-expired"
  | "certificate-not-trusted"
  | "validation-failure"
  | "tlsa-invalid"
  | "dnssec-invalid"
  | "dane-required"
  | "sts-policy-fetch-error"
  | "sts-policy-invalid"
  | "sts-webpki-invalid";

/** The policy that was applied, as reports name it (RFC 8460 §4.2). */
export interface AppliedPolicy {
  readonly type: "tlsa" | "sts" | "no-policy-found";
  /** The lines of an STS policy, or the TLSA records as text `3 1 1 abcd…`. */
  readonly strings: readonly string[];
  /** The `mx` patterns of an STS policy. */
  readonly mxHosts: readonly string[];
}

/** One session with a host, or one that did not come about. */
export interface TlsResult {
  /** The recipient's domain; for `tlsa` results too (RFC 8460 §4.2 names the domain of the policy). */
  readonly domain: string;
  readonly policy: AppliedPolicy;
  readonly type: TlsResultType;
  readonly host: string | null;
  readonly sendingAddress: string | null;
  readonly receivingAddress: string | null;
  /** What went wrong, in one line; null for success. */
  readonly reason: string | null;
}

/** Takes note of sessions for the daily reports. Cheap: counts in memory, written out now and then. */
export interface TlsResults {
  add(result: TlsResult): void;
}
