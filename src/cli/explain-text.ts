import { printable } from "../base/index.ts";
import type { DemandReport, ExplainReport, HopReport, LookupReport, TryReport } from "../daemon/index.ts";
import { table } from "./terminal.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Tries that are listed one by one. */
const LISTED_TRIES = 8;

/** The way of mail to an address, from the route to the last try. */
export function explainLines(report: ExplainReport): readonly string[] {
  const { address, lookups, hosts, deliverable, verdict } = report;
  return [
    `mail to ${printable(address)}`,
    "",
    ...section("route", routeFacts(report)),
    ...section(
      "lookups",
      lookups.map((lookup) => [lookup.type, lookup.name, dnssecOf(lookup), answerOf(lookup)]),
    ),
    ...hosts.flatMap((host, at) => section(`host ${at + 1}: ${host.host}`, hostFacts(host))),
    // Without a host to ask there is nobody who would not take it.
    ...(lookups.length === 0 ? [] : triesSection(report)),
    `${deliverable ? "ok" : "failed"}: ${printable(verdict, 1000)}`,
  ];
}

function routeFacts({ route, local, mtaSts, hostsSecure }: ExplainReport): string[][] {
  const line = route.line === null ? "" : ` (line ${route.line} of the configuration)`;
  return [
    ["by", `${route.reason}${line}`],
    ...(route.via === null ? [] : [["via", route.via]]),
    ...(route.level === null ? [] : [["level", route.level]]),
    ...(local === null ? [] : [["ends in", local.place ?? "nothing: it is thrown away"]]),
    ...(local?.problem == null ? [] : [["problem", local.problem]]),
    ...(hostsSecure === null || route.kind !== "mx"
      ? []
      : [["MX", hostsSecure ? "validated by DNSSEC" : "not validated by DNSSEC, so that DANE cannot count"]]),
    ...(mtaSts === null ? [] : [["MTA-STS", stsText(mtaSts)]]),
  ];
}

function stsText({ mode, id, mx, detail }: NonNullable<ExplainReport["mtaSts"]>): string {
  if (mode === null) return `none: ${detail ?? "no policy"}`;
  return `${mode}, id ${id}, for ${mx.join(", ")}${detail === null ? "" : `; the newest cannot be had: ${detail}`}`;
}

function dnssecOf({ secure }: LookupReport): string {
  if (secure === null) return "unknown";
  return secure ? "secure" : "insecure";
}

function answerOf({ answer, records, canonical, detail }: LookupReport): string {
  switch (answer) {
    case "found":
      return `${canonical === null ? "" : `(${canonical}) `}${records.join(", ")}`;
    case "noData":
      return "no such record";
    case "noName":
      return "no such name";
    case "failed":
      return `failed: ${detail ?? ""}`;
  }
}

function hostFacts({ port, addresses, dane, remembered, demand, ruledOut, requireTls }: HopReport): string[][] {
  const refused = (refusal: HopReport["ruledOut"]): string =>
    refusal === null ? "" : `ruled out, ${refusal.kind}: ${refusal.text}`;
  const proven = remembered === null ? null : (remembered.version ?? (remembered.tls ? "TLS" : "nothing"));
  return [
    ["addresses", `${addresses.join(", ")}, port ${port}`],
    ["DANE", daneText(dane)],
    ...(remembered === null
      ? []
      : [["before", `${proven}, certificate proven: ${remembered.authenticated}, ${remembered.provenAt}`]]),
    ["must show", demand === null ? refused(ruledOut) : demandText(demand)],
    ...(demand === null ? [] : [["because", demand.rule]]),
    ...(requireTls.demand === null && requireTls.ruledOut === null
      ? []
      : [["REQUIRETLS", requireTls.demand === null ? refused(requireTls.ruledOut) : requiredText(requireTls.demand)]]),
  ];
}

function daneText({ found, owner, records, detail }: HopReport["dane"]): string {
  if (found === "records") return `${records.join(", ")} at ${owner}`;
  return `${found}: ${detail ?? ""}`;
}

/** What a connection must show, in words. */
function demandText({ mode, proof, names, minVersion, watched, clearAfterFailure }: DemandReport): string {
  if (mode === "none") return "nothing: clear text";
  const proofs = {
    nothing: "any certificate",
    name: `a certificate for ${names.join(" or ")}`,
    dane: "a certificate that matches the TLSA records",
  };
  const tls = mode === "opportunistic" ? "TLS where it is offered, else clear text" : `${minVersion} or newer`;
  const watching =
    watched === null || watched === "nothing" ? "" : `; ${proofs.name} is watched for, and told in reports`;
  const broken = clearAfterFailure
    ? "; clear text too after a handshake that failed, as the configuration lets it"
    : "";
  return `${tls}, ${proofs[proof]}${watching}${broken}`;
}

function requiredText(demand: DemandReport): string {
  return `${demandText(demand)}, and REQUIRETLS offered; else it is returned`;
}

function triesSection(report: ExplainReport): readonly string[] {
  if (report.tries.length === 0) return section("tries", [["none", "it fails for good and comes back at once"]]);
  return section("tries, while nobody takes it", triesFacts(report));
}

function triesFacts({ tries, triesAfter }: ExplainReport): string[][] {
  const ruled = triesAfter.map((each) => [
    each.reply === "none" ? "without a reply, after" : `told ${each.reply}, after`,
    triesText(each.tries),
  ]);
  return [...ruled, ["after", triesText(tries)]];
}

function triesText(tries: readonly TryReport[]): string {
  const listed = tries.slice(0, LISTED_TRIES).map(({ after }) => span(after));
  const last = tries.at(-1);
  const more = tries.length - listed.length;
  if (last === undefined || more <= 0) return `${listed.join(", ")}; then it is returned`;
  return `${listed.join(", ")}, and ${more} more until ${span(last.after)}; then it is returned`;
}

/** A length of time to the minute: `45s`, `1h5m`, `2d4h`. */
function span(seconds: number): string {
  if (seconds < MINUTE) return `${Math.round(seconds)}s`;
  const units = [
    { unit: "d", length: DAY },
    { unit: "h", length: HOUR },
    { unit: "m", length: MINUTE },
  ];
  let rest = seconds;
  const parts = units.flatMap(({ unit, length }) => {
    const count = Math.floor(rest / length);
    rest -= count * length;
    return count === 0 ? [] : [`${count}${unit}`];
  });
  return parts.slice(0, 2).join("");
}

function section(title: string, facts: readonly (readonly string[])[]): readonly string[] {
  return facts.length === 0 ? [] : [printable(title), ...table(facts).map((line) => `  ${line}`), ""];
}
