import { randomInt } from "node:crypto";
import { getServers } from "node:dns";
import { isIP } from "node:net";
import { type Duration, err, ok, type Result, SECOND } from "../base/index.ts";
import {
  answers,
  type DnsMessage,
  type DnsQuery,
  formatQuery,
  isReferral,
  type RecordType,
  rcodes,
} from "./dns-message.ts";
import { exchangeTcp, exchangeUdp } from "./dns-transport.ts";
import type { DnsAnswer } from "./resolver.ts";
import type { Endpoint } from "./stream.ts";

export interface UpstreamOptions {
  /** Recursive servers as `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`, in order; default: the system's. */
  readonly servers?: readonly string[];
  /** True: the path to the servers is trusted, so their AD bit counts (RFC 4035 §4.9.3). Default false. */
  readonly trustAd?: boolean;
  /** For one try at one server, milliseconds (default 3000). */
  readonly timeout?: Duration;
  /** Rounds over all servers (default 2). */
  readonly attempts?: number;
  /** Once aborted, lookups fail at once with `unreachable`, those under way too. */
  readonly signal?: AbortSignal;
}

export type LookupFailure = Extract<DnsAnswer<never>, { kind: "failed" }>;

const DEFAULT_TIMEOUT = 3 * SECOND;
const DEFAULT_ATTEMPTS = 2;
const DNS_PORT = 53;

/** The recursive servers: asks one after the other until one knows. Throws on a server's address that is none. */
export class Upstream {
  readonly #servers: readonly Endpoint[];
  readonly #trustAd: boolean;
  readonly #timeout: Duration;
  readonly #attempts: number;
  readonly #signal: AbortSignal | null;

  constructor(options: UpstreamOptions) {
    this.#servers = (options.servers ?? getServers()).map(serverEndpoint);
    this.#trustAd = options.trustAd ?? false;
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT;
    this.#attempts = options.attempts ?? DEFAULT_ATTEMPTS;
    this.#signal = options.signal ?? null;
  }

  /** A message whose code is NOERROR or NXDOMAIN, and that is no referral. */
  async ask(
    name: string,
    type: RecordType,
  ): Promise<Result<{ message: DnsMessage; secure: boolean }, LookupFailure | "impossibleName">> {
    let failure: LookupFailure = { kind: "failed", reason: "unreachable", detail: "there is no DNS server to ask" };
    let servers = this.#servers;
    for (let round = 0; round < this.#attempts && servers.length > 0; round++) {
      // One that has answered, however badly, would only say it again; one that was silent may have lost the datagram.
      const silent: Endpoint[] = [];
      for (const server of servers) {
        const asked = await this.#askServer(server, name, type);
        if (asked === null) return err("impossibleName");
        if (asked.ok) {
          const message = asked.value;
          return ok({ message, secure: this.#trustAd && message.authenticData });
        }
        failure = asked.error;
        if (this.#signal?.aborted === true) return err(failure);
        if (failure.reason === "timeout") silent.push(server);
      }
      servers = silent;
    }
    return err(failure);
  }

  async #askServer(
    server: Endpoint,
    name: string,
    type: RecordType,
  ): Promise<Result<DnsMessage, LookupFailure> | null> {
    let edns = true;
    for (;;) {
      // Without trust in AD nobody looks at signatures, and the answers are smaller without them.
      const query: DnsQuery = { id: randomInt(0x1_0000), name, type, edns, dnssec: this.#trustAd };
      const bytes = formatQuery(query);
      if (bytes === null) return null;
      const exchange = {
        server,
        query: bytes,
        timeout: this.#timeout,
        signal: this.#signal,
        accept: (message: DnsMessage) => answers(message, query),
      };
      let asked = await exchangeUdp(exchange);
      if (asked.ok && asked.value.truncated) asked = await exchangeTcp(exchange);
      if (!asked.ok) return err({ kind: "failed", ...asked.error });
      if (edns && refusesEdns(asked.value)) {
        edns = false;
        continue;
      }
      const failure = failureOf(asked.value, server, name);
      return failure === null ? asked : err(failure);
    }
  }
}

/** RFC 6891 §6.1.3, §7: a server that knows no EDNS, or not this version. */
function refusesEdns({ rcode }: DnsMessage): boolean {
  return rcode === rcodes.formatError || rcode === rcodes.notImplemented || rcode === rcodes.badVersion;
}

function failureOf(message: DnsMessage, server: Endpoint, name: string): LookupFailure | null {
  const { rcode } = message;
  const place = `the server at ${server.address} port ${server.port}`;
  if (isReferral(message)) {
    const detail = `${place} knows other servers for ${name} and does not ask them: it is not a recursive server`;
    return { kind: "failed", reason: "refused", detail };
  }
  if (rcode === rcodes.noError || rcode === rcodes.noName) return null;
  const reason = rcode === rcodes.refused ? "refused" : "servfail";
  return { kind: "failed", reason, detail: `${place} answered with code ${rcode} for ${name}` };
}

function serverEndpoint(text: string): Endpoint {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = digits === undefined ? DNS_PORT : Number(digits);
  if (isIP(address) === 0 || port < 1 || port > 0xffff) throw new TypeError(`not the address of a DNS server: ${text}`);
  return { address, port };
}
