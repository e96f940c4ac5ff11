// Looking at other servers from the command line, with a configuration or without one.
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { err, ok, type Result, silentLog } from "./base/index.ts";
import type { Config } from "./config/index.ts";
import { configuredResolver } from "./daemon-resolver.ts";
import { type ProbeReport, probe } from "./inspection/index.ts";
import { createResolver, systemClock } from "./net/index.ts";
import { createStsFetch, createStsPolicies } from "./trust/index.ts";

export type { Check, HostReport, ProbeReport, ShownCertificate, Support } from "./inspection/index.ts";

export interface ProbeOrder {
  readonly target: string;
  readonly port: number;
  readonly asHost: boolean;
  readonly implicit: boolean;
  /** For each step, milliseconds. */
  readonly timeout: number;
  /** A file of authorities trusted besides the system's, PEM; null: none. */
  readonly ca: string | null;
  /** DNS servers of a configuration; null: the system's. */
  readonly config: Config | null;
}

/**
 * Probes a host or domain as deliveries would meet it. Nothing is kept, and nothing that is kept elsewhere is read. Fails with one
 * plain line where the authorities cannot be read.
 */
export async function probeTarget({ config, ca, ...order }: ProbeOrder): Promise<Result<ProbeReport, string>> {
  const authorities = readAuthorities(ca);
  if (!authorities.ok) return authorities;
  const resolver = config === null ? createResolver() : configuredResolver(config);
  const policies = createStsPolicies({
    resolver,
    file: null,
    fetch: createStsFetch({ resolver, networks: [], ca: null, timeout: order.timeout }),
    clock: systemClock,
    log: silentLog,
  });
  try {
    const report = await probe(order, {
      hello: config?.hostname ?? hostname(),
      implicit: order.implicit,
      timeout: order.timeout,
      extraCa: authorities.value,
      clock: systemClock,
      resolver,
      policies,
    });
    return ok(report);
  } finally {
    policies.close();
  }
}

function readAuthorities(file: string | null): Result<readonly string[], string> {
  if (file === null) return ok([]);
  try {
    return ok([readFileSync(file, "utf8")]);
  } catch (cause) {
    return err(`--ca ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
