// What an operator should publish in DNS for a configuration, and whether it is published.
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { domainToASCII } from "node:url";
import { err, ok, type Result } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import {
  checkRecord,
  type PublicNode,
  type PublishedRecord,
  type WantedRecord,
  wantedRecords,
} from "../inspection/index.ts";
import { servesSettings, submissionPlaces } from "./autoconfig.ts";
import { configuredResolver } from "./resolver.ts";
import { ownStsId } from "./sts.ts";

/** A record, and what is published in its place; null where that was not asked. */
export interface RecordReport extends WantedRecord {
  readonly published: PublishedRecord | null;
}

/** The records of a node: `postern dns --json` prints this. */
export interface RecordsReport {
  readonly hostname: string;
  /** False when a check failed. */
  readonly ok: boolean;
  readonly records: readonly RecordReport[];
}

export interface RecordsRequest {
  /** Compares with what is published. */
  readonly check: boolean;
  /** File of the key that comes next, PEM, in place of the configured one. */
  readonly nextKey: string | null;
}

/** Lists the records of a configuration. Fails with one plain line for each key or certificate that cannot be read. */
export async function reportRecords(
  config: Config,
  request: RecordsRequest,
): Promise<Result<RecordsReport, readonly string[]>> {
  const node = publicNode(config, request.nextKey);
  if (!node.ok) return node;
  const wanted = wantedRecords(node.value);
  const context = { resolver: configuredResolver(config), node: node.value, trustAd: config.dns.trustAd };
  const records = await Promise.all(
    wanted.map(async (record) => ({
      ...record,
      published: request.check ? await checkRecord(record, context) : null,
    })),
  );
  const failed = records.some(({ published }) => published?.failure === true);
  return ok({ hostname: node.value.hostname, ok: !failed, records });
}

function publicNode(config: Config, nextKey: string | null): Result<PublicNode, readonly string[]> {
  const problems: string[] = [];
  const hostname = ascii(config.hostname);
  const exchanger = config.listeners.some(({ service }) => service === "mx");
  const keys = exchanger ? shownKeys(config, hostname, problems) : [];
  const nextFile = nextKey ?? config.tls?.nextPrivateKey ?? null;
  const next = nextFile === null ? null : readKey(nextFile, nextKey === null ? "[tls] next_private_key" : "--next-key");
  if (next !== null && !next.ok) problems.push(next.error);
  if (problems.length > 0) return err(problems);
  return ok({
    hostname,
    domains: config.domains.map(({ name }) => ascii(name)),
    exchanger,
    keys,
    nextKey: next?.ok === true ? next.value : null,
    submission: submissionPlaces(config),
    access: config.autoconfig.incoming.map((server) => ({ ...server, host: ascii(server.host) })),
    servesSettings: servesSettings(config),
    policyId: () => ownStsId(config),
    servesPolicies: config.web.length > 0,
  });
}

/** The keys of the certificates that are shown to who asks for our name by SNI; where none names it, of the first. */
function shownKeys(config: Config, hostname: string, problems: string[]): readonly string[] {
  const shown: { readonly key: string; readonly named: boolean }[] = [];
  for (const { certificate } of config.tls?.keyPairs ?? []) {
    try {
      const leaf = new X509Certificate(readFileSync(certificate));
      shown.push({ key: keyHash(leaf.toString()), named: leaf.checkHost(hostname) !== undefined });
    } catch (cause) {
      problems.push(unreadable("[tls] certificate", certificate, "a certificate in PEM", cause));
    }
  }
  const named = shown.filter((each) => each.named);
  return (named.length > 0 ? named : shown.slice(0, 1)).map(({ key }) => key);
}

function readKey(file: string, where: string): Result<string, string> {
  try {
    return ok(keyHash(readFileSync(file, "utf8")));
  } catch (cause) {
    return err(unreadable(where, file, "a private key in PEM", cause));
  }
}

/** SHA-256 over the SubjectPublicKeyInfo of a key, or of the key of a certificate; PEM. */
function keyHash(pem: string): string {
  return createHash("sha256")
    .update(createPublicKey(pem).export({ type: "spki", format: "der" }))
    .digest("hex");
}

function unreadable(where: string, file: string, what: string, cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const reason = code.startsWith("ERR_") || code === "" ? `it is not ${what}` : code;
  return `${where}: ${file} cannot be read (${reason}); name ${what} that this user may read`;
}

/** A configured name as DNS has it: checked when the configuration was read. */
function ascii(name: string): string {
  return (/^[\x21-\x7e]+$/.test(name) ? name : domainToASCII(name)).toLowerCase();
}
