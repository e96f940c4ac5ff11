import { domainToASCII } from "node:url";
import { authFindings } from "./auth.ts";
import { metricsFindings } from "./metrics.ts";
import { nextHopFindings } from "./next-hop-consistency.ts";
import { peerFindings } from "./peer-consistency.ts";
import type { Finding } from "./problems.ts";
import { queueFindings } from "./queueing.ts";
import { parseEndpoint, parseMatch, parseName } from "./values.ts";
import { webFindings } from "./web.ts";
import { field, list } from "./written.ts";

/**
 * What no single value shows: settings that contradict each other. Looks at the text as written, not at the checked values, so
 * that these problems are listed together with all others.
 */
export function contradictions(written: unknown): readonly Finding[] {
  return [
    ...listenerFindings(written),
    ...domainFindings(written),
    ...peerFindings(written),
    ...authFindings(written),
    ...routeFindings(written),
    ...nextHopFindings(written),
    ...webFindings(written),
    ...metricsFindings(written),
    ...queueFindings(written),
  ];
}

function listenerFindings(written: unknown): Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const certified = field(written, "tls") !== undefined;
  list(written, "listener").forEach((listener, position) => {
    const path = ["listener", position];
    const tls = field(listener, "tls") ?? "starttls";
    if (!certified && (tls === "starttls" || tls === "implicit")) {
      const remedy = 'add [tls] with certificate and private_key, or write tls = "none"';
      findings.push({ path, problem: "offers TLS, and there is no certificate", remedy });
    }
    if (field(listener, "service") === "submission" && tls === "none") {
      const remedy = 'write "starttls" or "implicit"';
      findings.push({ path: [...path, "tls"], problem: "users can log in over TLS only", remedy });
    }
    const address = parseEndpoint(String(field(listener, "address")));
    if (!address.ok || address.value.port === 0) return;
    const key = `${address.value.address} ${address.value.port}`;
    if (seen.has(key)) {
      const remedy = "give each listener a port of its own";
      findings.push({ path: [...path, "address"], problem: "another listener has this address", remedy });
    }
    seen.add(key);
  });
  return findings;
}

function domainFindings(written: unknown): Finding[] {
  const seen = new Set<string>();
  return list(written, "domain").flatMap((domain, position) => {
    const name = parseName(String(field(domain, "name")));
    if (!name.ok) return [];
    // Both spellings of an internationalized domain are one.
    const ascii = domainToASCII(name.value) || name.value;
    if (!seen.has(ascii)) {
      seen.add(ascii);
      return [];
    }
    const path = ["domain", position, "name"];
    return [{ path, problem: `${name.value} stands here twice`, remedy: "keep one of the two" }];
  });
}

/** A route that an earlier one hides would be a surprise: the first match wins. */
function routeFindings(written: unknown): Finding[] {
  const seen = new Set<string>();
  return list(written, "route").flatMap((route, position) => {
    const match = parseMatch(String(field(route, "match")));
    if (!match.ok) return [];
    const hidden = seen.has("*") || seen.has(match.value);
    seen.add(match.value);
    if (!hidden) return [];
    const remedy = "the first match wins: move it up, or remove it";
    return [{ path: ["route", position, "match"], problem: "an earlier route takes all of this mail", remedy }];
  });
}
