import { type Duration, SECOND } from "../../base/index.ts";
import { type Config, formatConfigProblem, parseConfig } from "../../config/index.ts";
import type { RouteRule } from "../../delivery/index.ts";

/** Where other servers, and where users hand in mail (RFC 6409 §3.1). */
export const MX_PORT = 25;
export const SUBMISSION_PORT = 587;

/** What the operator of a node decides; the rest is as the product has it. */
export interface NodeSettings {
  readonly name: string;
  readonly hostname: string;
  readonly address: string;
  /** STARTTLS, and with it a port for users. */
  readonly secure: boolean;
  /** Its own mail goes to an LMTP server. No recipients: everybody has a mailbox. */
  readonly domain: { readonly name: string; readonly lmtp: string; readonly recipients: readonly string[] };
  readonly routes: readonly Pick<RouteRule, "match" | "via" | "tls">[];
  readonly waits: Record<"first" | "longest" | "giveUpAfter" | "warnAfter", Duration>;
  /** Deliveries at once, in all and for one destination. */
  readonly concurrency: number;
  readonly destinationConcurrency: number;
  /** Octets of bodies in memory. */
  readonly memory: number;
  readonly connectionsPerAddress: number;
  readonly limits: readonly HostLimit[];
  /** Hosts are held to what they proved for so long; 0: nothing is remembered. */
  readonly downgradeHold: Duration;
  readonly afterTlsFailure: "defer" | "clear";
  readonly chunking: "auto" | "never";
  readonly eightBit: "bounce" | "convert";
  /** Of the queue, how much is in hand. No setting: tests of the bounds have small ones. */
  readonly windows: { readonly window: number; readonly domainWindow: number };
}

/** A `[[limit]]`. */
export interface HostLimit {
  readonly match: string;
  readonly messagesPerMinute: number | null;
  readonly connections: number | null;
  readonly messagesPerConnection: number | null;
}

/** The file that the operator wrote, as read by the product. */
export function readConfiguration(settings: NodeSettings): Config {
  const read = parseConfig(configurationText(settings), `/simulated/${settings.name}.toml`);
  if (!read.ok) throw new Error(read.error.map(formatConfigProblem).join("; "));
  return read.value;
}

function configurationText(settings: NodeSettings): string {
  const { hostname, address, secure, domain, routes, limits, waits } = settings;
  const { concurrency, destinationConcurrency, memory, connectionsPerAddress } = settings;
  const mode = secure ? "starttls" : "none";
  const listener = (port: number, service: string) =>
    table("[[listener]]", { address: `${address}:${port}`, service, tls: mode });
  return [
    table("", { hostname, data_dir: "data" }),
    listener(MX_PORT, "mx"),
    ...(secure ? [listener(SUBMISSION_PORT, "submission")] : []),
    ...(secure ? [table("[tls]", { certificate: "certificate.pem", private_key: "key.pem" })] : []),
    table("[[domain]]", {
      name: domain.name,
      deliver: `lmtp://${domain.lmtp}`,
      recipients: domain.recipients.length === 0 ? ["*"] : domain.recipients,
    }),
    table("[relay]", { networks: ["10.0.0.0/8"] }),
    ...routes.map(({ match, via, tls }) => table("[[route]]", { match, via: viaText(via), ...(tls ? { tls } : {}) })),
    ...limits.map((limit) => table("[[limit]]", limitKeys(limit))),
    table("[delivery]", {
      after_tls_failure: settings.afterTlsFailure,
      downgrade_hold: seconds(settings.downgradeHold),
      chunking: settings.chunking,
      eight_bit: settings.eightBit,
      // There are no sessions to keep in a simulated handshake.
      tls_resumption: false,
    }),
    table("[tls_report]", { send: false }),
    table("[limits]", {
      message_size: "10000000 B",
      hops: 30,
      memory: `${memory} B`,
      connections_per_address: connectionsPerAddress,
    }),
    table("[timeouts]", { stop: "30s" }),
    table("[queue]", {
      retry_first: seconds(waits.first),
      retry_longest: seconds(waits.longest),
      give_up_after: seconds(waits.giveUpAfter),
      warn_after: seconds(waits.warnAfter),
      concurrency,
      destination_concurrency: destinationConcurrency,
    }),
  ].join("\n");
}

function limitKeys({ match, messagesPerMinute, connections, messagesPerConnection }: HostLimit): Keys {
  return {
    match,
    ...(messagesPerMinute === null ? {} : { messages_per_minute: messagesPerMinute }),
    ...(connections === null ? {} : { connections }),
    ...(messagesPerConnection === null ? {} : { messages_per_connection: messagesPerConnection }),
  };
}

type Keys = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** Values of JSON are values of TOML. */
function table(header: string, keys: Keys): string {
  const lines = Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return [header, ...lines, ""].join("\n");
}

function viaText(via: RouteRule["via"]): string {
  return via.kind === "mx" ? "mx" : `${via.kind}://${via.host}:${via.port}`;
}

function seconds(duration: Duration): string {
  return `${duration / SECOND}s`;
}
