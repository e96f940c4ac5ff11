import type { Trust } from "../daemon/index.ts";
import { table } from "./terminal.ts";

type Memory = ReturnType<Trust["memory"]["list"]>;
type Count = ReturnType<Trust["results"]["counts"]>[number];

/** What hosts proved, as a table. */
export function memoryLines(hosts: Memory["hosts"]): readonly string[] {
  if (hosts.length === 0) return [];
  const rows = hosts.map(({ domain, host, tls, version, authenticated, provenAt, fellAt }) => [
    domain,
    host,
    tls ? (version ?? "TLS") : "clear text",
    authenticated,
    minute(provenAt),
    fellAt === null ? "" : `less since ${minute(fellAt)}`,
  ]);
  return table([["DOMAIN", "HOST", "TLS", "PROVEN BY", "LAST", "NOW"], ...rows]);
}

/** The hosts that are spared the large ClientHello. */
export function classicalLines(classical: Memory["classical"]): readonly string[] {
  return table(classical.map(({ host, until }) => [host, `classical groups only, until ${minute(until)}`]));
}

/** The results of one domain: successes and failures of each policy, and what failed. */
export function resultLines(domain: string, counts: readonly Count[]): readonly string[] {
  const byPolicy = Map.groupBy(counts, ({ policy }) => JSON.stringify(policy));
  const parts = [...byPolicy.values()].flatMap((some) => {
    const failures = some.filter(({ type }) => type !== "success");
    const sum = (of: readonly Count[]) => of.reduce((total, { count }) => total + count, 0);
    const policy = some[0]?.policy;
    const told = `${policy?.type ?? ""}: ${sum(some) - sum(failures)} succeeded, ${sum(failures)} failed`;
    const rows = failures.map(({ type, host, receivingAddress, reason, count }) => [
      `    ${count}`,
      type,
      host ?? "",
      receivingAddress ?? "",
      reason ?? "",
    ]);
    return [...table([[`  ${told}`], ...(policy?.strings ?? []).map((line) => [`    ${line}`])]), ...table(rows)];
  });
  return [...table([[domain]]), ...parts];
}

/** `2026-11-22 04:38`, UTC. */
function minute(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace("T", " ");
}
