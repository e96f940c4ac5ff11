import { DAY } from "../base/index.ts";
import type { AppliedPolicy, TlsResultType } from "./model.ts";
import type { Day, TlsResultCount } from "./tls-results.ts";

/** Who reports (RFC 8460 §4.4). */
export interface ReportSubmitter {
  readonly organization: string;
  /** An address; its domain, in A-labels, is the submitter's name (RFC 8460 §5.3). */
  readonly contact: string;
}

export interface TlsReportFacts {
  readonly submitter: ReportSubmitter;
  readonly day: Day;
  /** A-labels. */
  readonly domain: string;
  readonly counts: readonly TlsResultCount[];
}

/** A report as RFC 8460 §4.4 writes it. */
export interface TlsReport {
  readonly "organization-name": string;
  readonly "date-range": { readonly "start-datetime": string; readonly "end-datetime": string };
  readonly "contact-info": string;
  readonly "report-id": string;
  readonly policies: readonly PolicyReport[];
}

interface PolicyReport {
  readonly policy: {
    readonly "policy-type": AppliedPolicy["type"];
    readonly "policy-string"?: readonly string[];
    readonly "policy-domain": string;
    readonly "mx-host"?: readonly string[];
  };
  readonly summary: {
    readonly "total-successful-session-count": number;
    readonly "total-failure-session-count": number;
  };
  readonly "failure-details": readonly FailureDetails[];
}

interface FailureDetails {
  readonly "result-type": TlsResultType;
  readonly "sending-mta-ip"?: string;
  readonly "receiving-mx-hostname"?: string;
  readonly "receiving-ip"?: string;
  readonly "failed-session-count": number;
  readonly "failure-reason-code"?: string;
}

/**
 * The report of one domain and UTC day.
 *
 * Deviation: RFC 8460 §2 calls the TLSA base domain the policy domain of DANE. Here it is the recipient's domain for DANE too, as
 * the domain's owner looks for it and other senders report it; the host is named with each failure.
 */
export function tlsReport(facts: TlsReportFacts): TlsReport {
  const { submitter, day, domain, counts } = facts;
  const byPolicy = Map.groupBy(counts, ({ policy }) => JSON.stringify(policy));
  return {
    "organization-name": submitter.organization,
    "date-range": {
      "start-datetime": timestamp(day * DAY),
      "end-datetime": timestamp((day + 1) * DAY - 1000),
    },
    "contact-info": submitter.contact,
    "report-id": reportId(facts),
    policies: [...byPolicy.values()].flatMap(([first, ...more]) =>
      first === undefined ? [] : [policyReport(first.policy, domain, [first, ...more])],
    ),
  };
}

/** The same for each try and each destination, so that a receiver knows a duplicate (RFC 8460 §5.3). An RFC 5322 msg-id's inside. */
export function reportId({ submitter, day, domain }: Pick<TlsReportFacts, "submitter" | "day" | "domain">): string {
  return `${formatDay(day)}.${domain}@${submitterDomain(submitter)}`;
}

export function submitterDomain({ contact }: ReportSubmitter): string {
  return contact.slice(contact.lastIndexOf("@") + 1);
}

/** RFC 8460 §5.1. */
export function reportFileName({
  submitter,
  day,
  domain,
}: Pick<TlsReportFacts, "submitter" | "day" | "domain">): string {
  const start = (day * DAY) / 1000;
  return `${submitterDomain(submitter)}!${domain}!${start}!${start + DAY / 1000 - 1}.json.gz`;
}

/** `2026-11-22`. */
export function formatDay(day: Day): string {
  return new Date(day * DAY).toISOString().slice(0, 10);
}

function policyReport(policy: AppliedPolicy, domain: string, counts: readonly TlsResultCount[]): PolicyReport {
  const failures = counts.filter(({ type }) => type !== "success");
  const total = (some: readonly TlsResultCount[]) => some.reduce((sum, { count }) => sum + count, 0);
  return {
    policy: {
      "policy-type": policy.type,
      ...(policy.strings.length === 0 ? {} : { "policy-string": policy.strings }),
      "policy-domain": domain,
      // An array by the text of §4.4, though the example of appendix B shows a string.
      ...(policy.type !== "sts" ? {} : { "mx-host": policy.mxHosts }),
    },
    summary: {
      "total-successful-session-count": total(counts) - total(failures),
      "total-failure-session-count": total(failures),
    },
    "failure-details": failures.map(failureDetails),
  };
}

function failureDetails({
  type,
  host,
  sendingAddress,
  receivingAddress,
  reason,
  count,
}: TlsResultCount): FailureDetails {
  return {
    "result-type": type,
    ...(sendingAddress === null ? {} : { "sending-mta-ip": plainAddress(sendingAddress) }),
    ...(host === null ? {} : { "receiving-mx-hostname": host }),
    ...(receivingAddress === null ? {} : { "receiving-ip": plainAddress(receivingAddress) }),
    "failed-session-count": count,
    ...(reason === null ? {} : { "failure-reason-code": reason }),
  };
}

/** Neither an IPv4 address in the form of an IPv6 one, nor a zone (RFC 8460 §4.4). */
function plainAddress(address: string): string {
  return address.replace(/%.*$/s, "").replace(/^::ffff:(?=\d+\.)/i, "");
}

function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
}
