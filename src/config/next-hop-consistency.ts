import { isIP } from "node:net";
import type { Finding } from "./problems.ts";
import { parseVia } from "./values.ts";
import { field, list } from "./written.ts";

/** What of a route's keys contradicts or misses another. */
export function nextHopFindings(written: unknown): readonly Finding[] {
  const trusted = field(field(written, "dns"), "trust_ad") === true;
  return list(written, "route").flatMap((route, position) => {
    const findings: Finding[] = [];
    const report = (key: string, problem: string, remedy: string): void => {
      findings.push({ path: ["route", position, key], problem, remedy });
    };
    const level = field(route, "tls") ?? "opportunistic";
    const [certificate, privateKey] = ["client_certificate", "client_private_key"].map(
      (key) => field(route, key) !== undefined,
    );
    if (certificate && !privateKey) report("client_certificate", "has no key", "add client_private_key");
    if (privateKey && !certificate) report("client_private_key", "has no certificate", "add client_certificate");
    if (level === "dane" && !trusted) {
      const remedy =
        "ask a validating resolver over a path you trust and write dns.trust_ad = true, or choose another level";
      report("tls", "demands DANE, and no resolver's word on DNSSEC is trusted: all this mail would wait", remedy);
    }
    const via = parseVia(String(field(route, "via") ?? "mx"));
    if (level === "dane" && via.ok && via.value.kind !== "mx" && isIP(via.value.host) !== 0) {
      report(
        "tls",
        "demands DANE of an address, for which no TLSA record speaks",
        "name the host, or write another level",
      );
    }
    if (list(route, "pins").length > 0 && level !== "verified") {
      report("pins", `count for "verified" only, and this route is "${String(level)}"`, 'write tls = "verified"');
    }
    if (level === "off") {
      for (const key of ["ca", "min_version", "client_certificate"]) {
        if (field(route, key) !== undefined)
          report(key, "means nothing where no TLS is tried", "remove it, or change tls");
      }
    }
    return findings;
  });
}
