import { isIP } from "node:net";
import { type Clock, err, type Log, type Result, SECOND } from "../base/index.ts";
import { type ClientTlsOptions, connect, type KeyPair } from "../net/index.ts";
import { bareAddress, hostAddresses } from "./host-addresses.ts";
import { openSession } from "./open-session.ts";
import type { PoolOptions } from "./pool.ts";
import type { ClientAuth, ClientProblem, ClientSession, ClientTimeouts, ClientTls } from "./types.ts";

export interface ClientOptions {
  /** Name or IP address of the server. */
  readonly host: string;
  /** Default 465 with implicit TLS, 587 with STARTTLS, else 25. */
  readonly port?: number;
  /**
   * "starttls" (default) demands STARTTLS, "implicit" starts with TLS; "opportunistic" takes STARTTLS where it is offered and
   * goes on in clear text where not; "none" never has TLS.
   */
  readonly tls?: "starttls" | "implicit" | "opportunistic" | "none";
  /**
   * What the server's certificate must prove. Default: with "starttls" and "implicit" that it names `host` ("name"), with
   * "opportunistic" nothing, since clear text would do as well.
   */
  readonly verify?: "name" | "nothing" | { readonly pins: readonly string[] };
  /** Authorities, PEM, in place of the system's. */
  readonly ca?: readonly string[];
  /** The name asked for and verified, where it is not `host`. */
  readonly serverName?: string;
  /** Shown to a server that asks for one, PEM. */
  readonly clientCertificate?: KeyPair;
  /** Never sent in clear text. */
  readonly auth?: ClientAuth;
  /** Our name in EHLO; default our address as a literal (RFC 5321 §4.1.3). */
  readonly hello?: string;
  readonly protocol?: "smtp" | "lmtp";
  readonly timeouts?: Partial<ClientTimeouts>;
  /** Default "auto": BDAT where CHUNKING is offered and it saves a round trip. */
  readonly chunking?: "auto" | "never";
  /** For each address of the host, and for the handshake; milliseconds, default 30 s. */
  readonly connectTimeout?: number;
  /** Connections open at once; further sends wait. Default 5. */
  readonly maxConnections?: number;
  readonly pool?: Omit<PoolOptions, "clock">;
  readonly clock?: Clock;
  readonly log?: Log;
}

const DEFAULT_CONNECT_TIMEOUT = 30 * SECOND;
const DEFAULT_PORT = { implicit: 465, starttls: 587, opportunistic: 25, none: 25 } as const;

/** Looks the host up, connects, and opens a session as `options` demand. */
export async function dial(
  options: ClientOptions,
  signal: AbortSignal | undefined,
): Promise<Result<ClientSession, ClientProblem>> {
  const { host, tls = "starttls", hello, protocol, auth, timeouts, chunking, clock, log } = options;
  const addresses = await hostAddresses(host);
  if (!addresses.ok) {
    return err({ kind: "network", stage: "connect", problem: { kind: "addressUnavailable", detail: addresses.error } });
  }
  const connected = await connect({
    addresses: addresses.value,
    port: options.port ?? DEFAULT_PORT[tls],
    timeout: options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT,
    ...(signal !== undefined && { signal }),
  });
  if (!connected.ok) return err({ kind: "network", stage: "connect", problem: connected.error });
  const stream = connected.value;
  return await openSession({
    stream,
    hello: hello ?? addressLiteral(stream.local.address),
    tls: clientTls(options),
    ...(protocol !== undefined && { protocol }),
    ...(auth !== undefined && { auth }),
    ...(timeouts !== undefined && { timeouts }),
    ...(chunking !== undefined && { chunking }),
    ...(clock !== undefined && { clock }),
    ...(log !== undefined && { log }),
    ...(signal !== undefined && { signal }),
  });
}

function clientTls(options: ClientOptions): ClientTls {
  const { tls = "starttls" } = options;
  if (tls === "none") return { kind: "none" };
  const kind = tls === "starttls" ? "required" : tls;
  const name = options.serverName ?? bareAddress(options.host);
  const verify = options.verify ?? (tls === "opportunistic" ? "nothing" : "name");
  return {
    kind,
    options: {
      // RFC 6066 §3: an address literal is not sent as a server name.
      serverName: isIP(name) === 0 ? name : null,
      verify: demand(verify, name, options.ca),
      timeout: options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT,
      ...(options.clientCertificate !== undefined && { clientCertificate: options.clientCertificate }),
    },
  };
}

function demand(
  verify: NonNullable<ClientOptions["verify"]>,
  name: string,
  ca: readonly string[] | undefined,
): ClientTlsOptions["verify"] {
  if (verify === "nothing") return { kind: "nothing" };
  if (verify === "name") return { kind: "name", names: [name], ...(ca !== undefined && { ca }) };
  return { kind: "pin", pins: verify.pins };
}

/** RFC 5321 §4.1.3. An IPv4 address that came over an IPv6 socket is written as the IPv4 address it is. */
function addressLiteral(address: string): string {
  const v4 = address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
  return isIP(v4) === 4 ? `[${v4}]` : `[IPv6:${address}]`;
}
