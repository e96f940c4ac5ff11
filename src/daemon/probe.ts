// Looking at other servers from the command line, with a configuration or without one.
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { codeOf, err, ok, type Result, silentLog } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { type ProbeReport, probe } from "../inspection/index.ts";
import { createResolver, readCertificates, systemClock } from "../net/index.ts";
import { createStsFetch, createStsPolicies } from "../trust/index.ts";
import { loadNextHops, trustedByDefault } from "./next-hops.ts";
import { configuredResolver } from "./resolver.ts";

export type { Check, HostReport, ProbeReport, ShownCertificate, Support } from "../inspection/index.ts";

export interface ProbeOrder {
  readonly target: string;
  readonly port: number;
  readonly asHost: boolean;
  readonly implicit: boolean;
  /** For each step, milliseconds. */
  readonly timeout: number;
  /** A file of authorities trusted besides the system's, PEM; null: none. */
  readonly ca: string | null;
  /** DNS servers, authorities and the way to policy hosts of a configuration; null: the system's. */
  readonly config: Config | null;
}

/**
 * Probes a host or domain as deliveries would meet it. Nothing is kept, and nothing that is kept elsewhere is read. Fails with one
 * plain line where the authorities cannot be read.
 */
export async function probeTarget({ config, ca, ...order }: ProbeOrder): Promise<Result<ProbeReport, string>> {
  const authorities = readAuthorities(ca, config);
  if (!authorities.ok) return authorities;
  const { extraCa, trusted } = authorities.value;
  const resolver = config === null ? createResolver() : configuredResolver(config);
  const policies = createStsPolicies({
    resolver,
    file: null,
    fetch: createStsFetch({
      resolver,
      networks: config?.mtaSts.fetchNetworks ?? [],
      ca: trusted,
      ...(config === null ? {} : { port: config.mtaSts.fetchPort }),
      timeout: order.timeout,
    }),
    clock: systemClock,
    log: silentLog,
  });
  try {
    const report = await probe(order, {
      hello: config?.hostname ?? hostname(),
      implicit: order.implicit,
      timeout: order.timeout,
      extraCa,
      clock: systemClock,
      resolver,
      policies,
    });
    return ok(report);
  } finally {
    policies.close();
  }
}

interface Authorities {
  /** Trusted besides the system's, PEM. */
  readonly extraCa: readonly string[];
  /** All that are trusted, PEM; null for the system's alone. */
  readonly trusted: readonly string[] | null;
}

function readAuthorities(file: string | null, config: Config | null): Result<Authorities, string> {
  const configured = config === null ? ok({ extraCa: [] }) : loadNextHops(config);
  if (!configured.ok) return err(configured.error.join("; "));
  const extraCa = [...configured.value.extraCa];
  if (file !== null) {
    const text = readFile(file);
    const read = text.ok ? readCertificates(text.value) : text;
    if (!read.ok) return err(`--ca ${file}: ${read.error}; name a file with the certificates of authorities`);
    extraCa.push(...read.value.map((certificate) => certificate.toString()));
  }
  return ok({ extraCa, trusted: extraCa.length === 0 ? null : [...trustedByDefault(), ...extraCa] });
}

function readFile(file: string): Result<string, string> {
  try {
    return ok(readFileSync(file, "utf8"));
  } catch (cause) {
    return err(`it cannot be read (${codeOf(cause)})`);
  }
}
