import { printable } from "../base/index.ts";
import type { Check, HostReport, ProbeReport, ShownCertificate, Support } from "../daemon/index.ts";
import { table } from "./terminal.ts";

/** A probe for people: each host with what it showed and what that is worth, then one line for all. */
export function probeLines(report: ProbeReport): readonly string[] {
  const { target, checks, hosts, verdict } = report;
  return [
    ...(checks.length === 0 ? [] : [printable(target), ...checkLines(checks), ""]),
    ...hosts.flatMap((host) => [...hostLines(host), ""]),
    `${verdict.status}: ${printable(target)}: ${printable(verdict.text, 1000)}`,
  ];
}

function hostLines(host: HostReport): readonly string[] {
  const { address, addresses, greeting, extensions, certificates, versions, groups, dane } = host;
  const others = addresses.filter((each) => each !== address);
  const facts = [
    ["address", address === null ? `none of ${addresses.join(", ")} answers` : address],
    ...(address === null || others.length === 0 ? [] : [["left out", others.join(", ")]]),
    ...(greeting === null ? [] : [["greeting", greeting]]),
    ...(extensions.beforeTls === null ? [] : [["before TLS", listed(extensions.beforeTls)]]),
    ...(extensions.afterTls === null ? [] : [["inside TLS", insideTls(extensions)]]),
    ...(host.tls === null ? [] : [["TLS", [host.tls.version, host.tls.cipher, host.tls.group ?? ""].join(" ").trim()]]),
    ...(versions.length === 0 ? [] : [["versions", supported(versions)]]),
    ...(groups.length === 0 ? [] : [["groups", supported(groups)]]),
    ...certificates.flatMap((certificate, at) => certificateFacts(certificate, at)),
    ...dane.records.map((record) => ["TLSA", record]),
  ];
  return [`${printable(host.host)} port ${host.port}`, ...table(facts).map(indented), ...checkLines(host.checks)];
}

function certificateFacts(certificate: ShownCertificate, at: number): string[][] {
  const { subject, issuer, names, validTo, daysLeft, key, spki256 } = certificate;
  const left = daysLeft < 0 ? `over for ${-daysLeft} days` : `${daysLeft} days left`;
  return [
    [at === 0 ? "certificate" : "chain", `${subject === "" ? "(no subject)" : subject}, by ${issuer}`],
    ...(names.length === 0 ? [] : [["", `names ${listed(names)}`]]),
    ["", `${key}, until ${validTo.slice(0, 10)} (${left})`],
    ["", `SPKI SHA-256 ${spki256}`],
  ];
}

/** Only what is different inside TLS, where most is the same. */
function insideTls({ beforeTls, afterTls }: HostReport["extensions"]): string {
  const after = afterTls ?? [];
  if (beforeTls === null) return listed(after);
  const added = after.filter((line) => !beforeTls.includes(line));
  const gone = beforeTls.filter((line) => !after.includes(line));
  if (added.length === 0 && gone.length === 0) return "the same";
  return [
    ...(added.length === 0 ? [] : [`also ${listed(added)}`]),
    ...(gone.length === 0 ? [] : [`no longer ${listed(gone)}`]),
  ].join("; ");
}

function supported(support: readonly Support[]): string {
  const words = new Map([
    [true, "yes"],
    [false, "no"],
  ]);
  return support.map(({ name, supported: it }) => `${name} ${it === null ? "unknown" : words.get(it)}`).join(", ");
}

function checkLines(checks: readonly Check[]): readonly string[] {
  // The reasons may be long; they stand in the last column, which is not padded.
  return table(checks.map(({ status, check, text }) => [status === "none" ? "-" : status, check, text])).map(indented);
}

function listed(texts: readonly string[]): string {
  return texts.length === 0 ? "none" : texts.join(", ");
}

function indented(line: string): string {
  return `  ${line}`;
}
