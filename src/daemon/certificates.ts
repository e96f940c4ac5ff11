// What is to be known of the certificates of a configuration before others find out: how long they count, and whom they name.
import { readFileSync } from "node:fs";
import { domainToASCII } from "node:url";
import { DAY, type Duration } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { readCertificates } from "../net/index.ts";
import { submissionPlaces } from "./autoconfig.ts";

type X509 = Extract<ReturnType<typeof readCertificates>, { ok: true }>["value"][number];
type Certified = Pick<Config, "hostname" | "tls" | "routes" | "listeners" | "web" | "domains" | "mtaSts">;

/** Lines for people: what keeps mail away already, and what will, or may. */
export interface CertificateFindings {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** A renewal that works happens weeks before. */
const SOON: Duration = 14 * DAY;

/** Looks at the certificates that are shown to others. What cannot be read is told where they are loaded. */
export function checkCertificates(config: Certified, now: number): CertificateFindings {
  const served = (config.tls?.keyPairs ?? []).map(({ certificate: file }) => ({ file, chain: chainOf(file) }));
  const shown = config.routes.flatMap(({ match, clientCertificate: pair }) =>
    pair === null
      ? []
      : [{ file: pair.certificate, chain: chainOf(pair.certificate), at: `[[route]] match = "${match}"` }],
  );
  const ages = [...served.map((each) => ({ ...each, at: "[tls]" })), ...shown].map((each) => ageOf(each, now));
  return {
    problems: ages.flatMap(({ problem }) => problem ?? []),
    warnings: [...ages.flatMap(({ warning }) => warning ?? []), ...unnamed(config, served)],
  };
}

function ageOf(
  { file, chain, at }: { readonly file: string; readonly chain: readonly X509[]; readonly at: string },
  now: number,
): { readonly problem?: string; readonly warning?: string } {
  const until = Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
  const from = Math.max(...chain.map(({ validFromDate }) => validFromDate.getTime()));
  if (until <= now) {
    return { problem: `${at} ${file}: a certificate expired on ${dayOf(until)}; put a new one in its place` };
  }
  if (from > now) {
    return {
      problem: `${at} ${file}: a certificate counts only from ${dayOf(from)}; put one that counts in its place, or mend the clock`,
    };
  }
  if (until - now > SOON) return {};
  return {
    warning: `${at} ${file}: a certificate expires on ${dayOf(until)}, in less than 14 days; see why it was not renewed`,
  };
}

/** The names that others look for, and that no certificate has. */
function unnamed(config: Certified, served: readonly { readonly chain: readonly X509[] }[]): readonly string[] {
  const leaves = served.flatMap(({ chain: [leaf] }) => leaf ?? []);
  if (leaves.length === 0) return [];
  const isNamed = (name: string): boolean =>
    leaves.some((leaf) => leaf.checkHost(name, { subject: "never" }) !== undefined);
  return wantedNames(config)
    .filter(({ name }) => !isNamed(name))
    .map(
      ({ name, why }) =>
        `no certificate of [tls] names ${name}: ${why}; have it added to one, or add [[tls.additional]]`,
    );
}

function wantedNames({ hostname, listeners, web, domains, mtaSts }: Certified) {
  const secured = listeners.some(({ tls }) => tls !== "none");
  const pages = web.some(({ tls }) => tls === "implicit");
  const settings = pages && submissionPlaces({ listeners }).length > 0;
  const names = domains.map(({ name }) => ascii(name));
  return [
    ...(secured ? [{ name: ascii(hostname), why: "who checks certificates will not connect to this server" }] : []),
    ...(pages && mtaSts.mode !== "none"
      ? names.map((name) => ({
          name: `mta-sts.${name}`,
          why: "nobody can fetch the MTA-STS policy of the domain (RFC 8461 §3.3)",
        }))
      : []),
    ...(settings
      ? names.map((name) => ({ name: `autoconfig.${name}`, why: "mail programs cannot fetch their settings there" }))
      : []),
  ];
}

function chainOf(file: string): readonly X509[] {
  try {
    const read = readCertificates(readFileSync(file, "utf8"));
    return read.ok ? read.value : [];
  } catch {
    return [];
  }
}

function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, "YYYY-MM-DD".length);
}

function ascii(name: string): string {
  return (domainToASCII(name) || name).toLowerCase();
}
