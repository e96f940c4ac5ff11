// What connections to other servers are made with: the routes, with the authorities and certificates that their files hold.
import { readFileSync } from "node:fs";
import { getCACertificates } from "node:tls";
import { codeOf, err, ok, type Result } from "../base/index.ts";
import type { Config, KeyPairFiles } from "../config/index.ts";
import type { RouteRule } from "../delivery/index.ts";
import { type KeyPair, readCertificates, ServerTls } from "../net/index.ts";

export interface NextHops {
  readonly routes: readonly RouteRule[];
  /** Authorities that are trusted besides the system's, PEM. */
  readonly extraCa: readonly string[];
  /** All that are trusted by default, PEM; null where they are the system's alone. */
  readonly trusted: readonly string[] | null;
}

/** Reads the files; every problem of them is one line. */
export function loadNextHops({
  routes,
  delivery,
}: Pick<Config, "routes" | "delivery">): Result<NextHops, readonly string[]> {
  const problems: string[] = [];
  const extraCa = delivery.ca.flatMap((file) => authorities("[delivery] ca", file, problems));
  const rules = routes.map(({ match, via, tls, ca, pins, minVersion, clientCertificate }): RouteRule => {
    const at = `[[route]] match = "${match}"`;
    const trusted = ca.flatMap((file) => authorities(`${at}, ca`, file, problems));
    const pair = clientCertificate === null ? null : keyPair(at, clientCertificate, problems);
    return {
      match,
      via,
      tls,
      ca: trusted,
      pins,
      minVersion,
      ...(pair === null ? {} : { clientCertificate: pair }),
    };
  });
  if (problems.length > 0) return err(problems);
  return ok({ routes: rules, extraCa, trusted: extraCa.length === 0 ? null : [...trustedByDefault(), ...extraCa] });
}

/** What is trusted where nothing else is said: by the system and by Node, PEM. */
export function trustedByDefault(): readonly string[] {
  return [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
}

function authorities(key: string, file: string, problems: string[]): readonly string[] {
  const text = readText(key, file, problems);
  if (text === null) return [];
  const read = readCertificates(text);
  if (read.ok) return read.value.map((certificate) => certificate.toString());
  problems.push(`${key}: ${file}: ${read.error}; name a file with the certificates of authorities`);
  return [];
}

function keyPair(at: string, files: KeyPairFiles, problems: string[]): KeyPair | null {
  const certificate = readText(`${at}, client_certificate`, files.certificate, problems);
  const privateKey = readText(`${at}, client_private_key`, files.privateKey, problems);
  if (certificate === null || privateKey === null) return null;
  // What serves as a server's pair is one: the two are held against each other there.
  const tried = ServerTls.create({ keyPairs: [{ certificate, privateKey }] });
  if (tried.ok) return { certificate, privateKey };
  problems.push(`${at}, client_certificate: ${files.certificate}: ${tried.error}`);
  return null;
}

function readText(key: string, file: string, problems: string[]): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const reason = codeOf(cause);
    problems.push(`${key}: ${file} cannot be read (${reason}); name a file in PEM that this user may read`);
    return null;
  }
}
