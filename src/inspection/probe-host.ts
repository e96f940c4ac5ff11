import { type Clock, DAY, type Duration, printable } from "../base/index.ts";
import type { MailHost } from "../delivery/index.ts";
import { type ChainCertificate, type ClientTlsOptions, certificateChain } from "../net/index.ts";
import { describeReply, type Extensions, formatExtensions } from "../smtp/index.ts";
import type { DaneFinding, StsFinding } from "../trust/index.ts";
import { daneReport, judgeHost, listedBy, type SeenHost } from "./probe-checks.ts";
import { type Shown, showConnection } from "./probe-connection.ts";
import type { DaneReport, HostReport, NameProof, ShownCertificate, Support } from "./probe-report.ts";
import { verdictOf } from "./probe-report.ts";

/** How hosts are looked at. */
export interface ProbeManner {
  /** Our name in EHLO. */
  readonly hello: string;
  /** TLS from the first octet. */
  readonly implicit: boolean;
  /** For each step, milliseconds. */
  readonly timeout: Duration;
  /** PEM, trusted besides the system's. */
  readonly extraCa: readonly string[];
  readonly clock: Clock;
}

export interface HostRequest {
  readonly host: MailHost;
  readonly port: number;
  /** What is known of its keys. */
  readonly dane: DaneFinding;
  /** The policy of the domain whose mail it takes. */
  readonly sts: StsFinding;
}

type TlsOptions = Omit<ClientTlsOptions, "timeout">;

/** As OpenSSL names them, the post-quantum one first. */
const GROUPS = ["X25519MLKEM768", "X25519", "P-256"];
const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

/**
 * Looks at one host: a first connection as a delivery would make it, and further ones to the same address for what one connection
 * cannot tell (a TLSA match, other versions and groups). They follow each other; nothing but EHLO, STARTTLS and QUIT is sent.
 */
export async function probeHost(request: HostRequest, manner: ProbeManner): Promise<HostReport> {
  const { host, port, dane, sts } = request;
  const name = host.name.replace(/^\[|\]$/g, "");
  const show = (addresses: readonly string[], tls: TlsOptions) => showConnection({ ...manner, addresses, port, tls });
  const ordinary = ordinaryTls(name, dane, manner);
  const first = await show(host.addresses, ordinary);
  const silent = first.problem?.network?.silent === true;
  const second = silent ? await show(host.addresses, { ...ordinary, groups: "classical" }) : null;
  const needsClassical = second !== null && second.secured !== null;
  const shown = needsClassical ? second : first;
  const further = (tls: Partial<TlsOptions>) =>
    show(shown.address === null ? [] : [shown.address], { ...ordinary, verify: { kind: "nothing" }, ...tls });
  const seen: SeenHost = {
    host: host.name,
    port,
    addresses: host.addresses,
    addressesSecure: host.secure,
    ...whatWasShown(shown),
    versions: shown.secured === null ? [] : await versionsOf(shown, further),
    groups: shown.secured?.tls?.version === "TLSv1.3" && !needsClassical ? await groupsOf(shown, further) : [],
    certificates: certificatesOf(shown, manner.clock.now()),
    name: nameProof(shown),
    dane: shown.secured === null ? daneReport(dane) : await compareTlsa(dane, further),
    mtaStsListed: listedBy(sts, host.name),
    problem: shown.problem,
    needsClassical,
  };
  const checks = judgeHost(seen, sts);
  const { problem: _, needsClassical: __, ...told } = seen;
  return { ...told, checks, verdict: verdictOf(checks, fine(seen)) };
}

/** RFC 7672 §8.1: with TLSA records the base domain is asked for. A certificate that proves nothing is told, and ends nothing. */
function ordinaryTls(name: string, dane: DaneFinding, { extraCa }: ProbeManner): TlsOptions {
  const isAddress = /^[\d.]+$|:/.test(name);
  const base = "base" in dane ? dane.base : name;
  return {
    serverName: isAddress ? null : base,
    verify: { kind: "name", names: [name], ...(extraCa.length === 0 ? {} : { extraCa }) },
    lenient: true,
  };
}

function whatWasShown({ address, greeting, before, after, secured }: Shown) {
  const tls = secured?.tls ?? null;
  return {
    address,
    greeting: greeting === null ? null : describeReply(greeting),
    extensions: { beforeTls: linesOf(before), afterTls: linesOf(after) },
    tls: tls === null ? null : { version: tls.version, cipher: tls.cipher, group: tls.group },
    requireTls: after?.has("REQUIRETLS") === true,
  };
}

function linesOf(extensions: Extensions | null): readonly string[] | null {
  return extensions === null ? null : formatExtensions(extensions).map((line) => printable(line));
}

type Further = (tls: Partial<TlsOptions>) => Promise<Shown>;

async function versionsOf(shown: Shown, further: Further): Promise<readonly Support[]> {
  const support: Support[] = [];
  for (const version of VERSIONS) {
    const known = shown.secured?.tls?.version === version;
    const supported = known || supports(await further({ minVersion: version, maxVersion: version }));
    support.push({ name: version, supported });
  }
  return support;
}

async function groupsOf(shown: Shown, further: Further): Promise<readonly Support[]> {
  const support: Support[] = [];
  for (const name of GROUPS) {
    const known = shown.secured?.tls?.group === name;
    support.push({ name, supported: known || supports(await further({ groups: [name], minVersion: "TLSv1.3" })) });
  }
  return support;
}

/** A connection that did not come to the handshake tells nothing of it. */
function supports({ secured, problem }: Shown): boolean | null {
  if (secured !== null) return true;
  return problem?.stage === "handshake" ? false : null;
}

async function compareTlsa(dane: DaneFinding, further: Further): Promise<DaneReport> {
  const report = daneReport(dane);
  if (dane.kind !== "records") return report;
  const { records, names } = dane;
  const { secured, problem } = await further({ verify: { kind: "dane", records, names }, lenient: true });
  const certificate = secured?.tls?.peerCertificate ?? null;
  if (certificate === null) return { ...report, detail: problem?.detail ?? null };
  return { ...report, match: certificate.authorized, detail: certificate.problem };
}

function nameProof({ secured }: Shown): NameProof | null {
  const certificate = secured?.tls?.peerCertificate ?? null;
  if (certificate === null) return null;
  const { authorized, reason, problem } = certificate;
  // The name was demanded, so that no other reason can stand here.
  const known = reason === "name" || reason === "expired" ? reason : "untrusted";
  return {
    proven: authorized,
    reason: authorized ? null : known,
    detail: problem === null ? null : printable(problem),
  };
}

function certificatesOf({ secured }: Shown, now: number): readonly ShownCertificate[] {
  return secured === null ? [] : certificateChain(secured).map((certificate) => shownCertificate(certificate, now));
}

function shownCertificate(certificate: ChainCertificate, now: number): ShownCertificate {
  const { subject, issuer, names, validFrom, validTo, keyType, keyBits, curve, spki256 } = certificate;
  return {
    subject: printable(subject),
    issuer: printable(issuer),
    names: names.map((name) => printable(name)),
    validFrom,
    validTo,
    daysLeft: Math.floor((Date.parse(validTo) - now) / DAY),
    key: [keyType, curve ?? keyBits].filter((part) => part !== null).join(" "),
    spki256,
  };
}

function fine({ tls, dane, name, mtaStsListed }: SeenHost): string {
  const proofs = [
    ...(dane.match === true ? ["its key matches DNS (DANE)"] : []),
    ...(name?.proven === true ? ["its certificate proves its name"] : []),
    ...(mtaStsListed === true ? ["its domain's MTA-STS policy lists it"] : []),
  ];
  return [tls?.version ?? "TLS", ...proofs].join(", ");
}
