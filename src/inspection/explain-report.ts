import type { DaneReport, StsReport } from "./probe-report.ts";
import type { LookupReport } from "./recorded-lookups.ts";

/** By what mail to an address is routed. Words of `postern explain --json`. */
export interface RouteReport {
  /** "unknown": ours, and there is no such mailbox. "none": no domain that DNS knows. */
  readonly kind: "local" | "mx" | "relay" | "unknown" | "none";
  /** As the log and the queue say it: `route "example.org"`, `no route matches`. */
  readonly reason: string;
  /** The line of the configuration that decided; null where none did. */
  readonly line: number | null;
  /** `mx`, `smtp://HOST:PORT`; null where mail ends here. */
  readonly via: string | null;
  /** The level that the route demands; null where mail ends here. */
  readonly level: "off" | "opportunistic" | "encrypted" | "verified" | "dane" | null;
}

/** Where mail of a local domain ends. */
export interface LocalReport {
  readonly kind: "maildir" | "lmtp" | "discard";
  /** The folder of the mailbox, or `lmtp://HOST:PORT`; null where it is thrown away. */
  readonly place: string | null;
  /** Why nothing can be delivered there now; null where nothing stands against it. */
  readonly problem: string | null;
}

/** What a connection to a host has to show. */
export interface DemandReport {
  /** "none": clear text; "opportunistic": TLS where it is offered; "required" and "implicit": TLS or no delivery. */
  readonly mode: "none" | "opportunistic" | "required" | "implicit";
  /** What the certificate must show. */
  readonly proof: "nothing" | "name" | "dane";
  /** Names of which the certificate must show one. */
  readonly names: readonly string[];
  /** What it should show as well, for a policy that only watches (MTA-STS `testing`): told in reports, stops nothing. */
  readonly watched: "nothing" | "name" | "dane" | null;
  /** Clear text follows a failed handshake, as the configuration lets it; else the mail waits. */
  readonly clearAfterFailure: boolean;
  /** Sent as SNI. */
  readonly serverName: string | null;
  readonly minVersion: string;
  /** With whose voices: kept with each delivery. */
  readonly rule: string;
}

/** What is not enough, whatever the host shows. */
export interface RefusalReport {
  readonly kind: "deferred" | "failed";
  readonly status: string | null;
  readonly text: string;
}

/** One host that mail may go to, in the order of trying. */
export interface HopReport {
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly addressesSecure: boolean;
  readonly dane: DaneReport;
  /** What it proved before, and is held to; null where nothing is known. */
  readonly remembered: {
    readonly tls: boolean;
    readonly version: string | null;
    /** How its certificate was proven. */
    readonly authenticated: "no" | "name" | "dane";
    /** ISO 8601. */
    readonly provenAt: string;
  } | null;
  /** For an ordinary message. One of the two is null. */
  readonly demand: DemandReport | null;
  readonly ruledOut: RefusalReport | null;
  /** For a message with REQUIRETLS (RFC 8689): the host must offer that too. */
  readonly requireTls: { readonly demand: DemandReport | null; readonly ruledOut: RefusalReport | null };
}

/** One try of a message that nobody takes. */
export interface TryReport {
  /** From 1. */
  readonly attempt: number;
  /** Seconds after arrival, without the part of chance. */
  readonly after: number;
}

/** What would become of mail to an address now. `postern explain --json` prints this. */
export interface ExplainReport {
  readonly address: string;
  readonly route: RouteReport;
  readonly local: LocalReport | null;
  readonly lookups: readonly LookupReport[];
  /** The MX records are validated by DNSSEC, or the host is configured; null where no host is asked. */
  readonly hostsSecure: boolean | null;
  readonly mtaSts: StsReport | null;
  /** In the order of trying. */
  readonly hosts: readonly HopReport[];
  /**
   * When it would be tried, if each try failed for now; the last is the one before it is given up. None where it fails for good, and so
   * comes back at once.
   */
  readonly tries: readonly TryReport[];
  /** The same where the tries ended in a reply that has a rule of its own, as `[[retry]]` names it; in the order of the rules. */
  readonly triesAfter: readonly { readonly reply: string; readonly tries: readonly TryReport[] }[];
  readonly deliverable: boolean;
  /** In one line. */
  readonly verdict: string;
}
