import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import { err, ok, type Result } from "../base/index.ts";
import { connect } from "./connect.ts";
import { inNetworks } from "./networks.ts";
import { netProblem } from "./problem.ts";
import { isPublicAddress } from "./public-address.ts";
import type { Resolver } from "./resolver.ts";
import type { NetProblem } from "./stream.ts";
import { duplexOf } from "./stream-duplex.ts";
import { upgradeClient } from "./tls-client.ts";

/** Who asks: the same for all requests of one purpose. */
export interface HttpsOptions {
  readonly resolver: Pick<Resolver, "addresses">;
  /** Networks that hosts may be in though they are not public (`isPublicAddress`): the operator's own, in CIDR form. */
  readonly networks: readonly string[];
  /** The authorities trusted, PEM; null for the system's and Node's. */
  readonly ca: readonly string[] | null;
}

export interface HttpsRequest {
  /** A domain name, A-labels: looked up, sent as SNI and `Host`, and what the certificate must name. */
  readonly host: string;
  readonly port: number;
  readonly method: "GET" | "POST";
  /** With its query, from the `/` on. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  /** The most octets of a body that are taken. */
  readonly bodyLimit: number;
  /** For all of it, milliseconds. */
  readonly timeout: number;
  /** Ends it early, as a problem. */
  readonly signal: AbortSignal;
}

export interface HttpsResponse {
  readonly status: number;
  /** In lower case, without parameters; empty where the server named none. */
  readonly mediaType: string;
  readonly body: Uint8Array;
}

/** "certificate": the host did not prove its name. "tooLarge": the body, or what it said of its length. */
export interface HttpsProblem {
  readonly kind: "address" | "network" | "certificate" | "tooLarge" | "malformed" | "timeout";
  readonly detail: string;
}

/** How long one address is waited for before the next, and a handshake, milliseconds. */
const CONNECT_TIMEOUT = 10_000;
const HANDSHAKE_TIMEOUT = 15_000;
/** Addresses of a host that are tried. */
const MAX_ADDRESSES = 8;
/** Octets of a header section. */
const MAX_HEADERS = 16 * 1024;

/**
 * One HTTPS request to a host that strangers name, over a connection of its own: looked up by our resolver, never to an address
 * that is not public, the certificate checked by the names of its subjectAltName alone (RFC 9525 §6.3), no redirect followed, no
 * cookie, no cache, size and time bounded. Never rejects.
 */
export async function httpsRequest(
  options: HttpsOptions,
  asked: HttpsRequest,
): Promise<Result<HttpsResponse, HttpsProblem>> {
  const expired = AbortSignal.timeout(asked.timeout);
  const signal = AbortSignal.any([expired, asked.signal]);
  const given = new Promise<Result<never, HttpsProblem>>((resolve) => {
    const end = (): void => {
      const detail = expired.aborted ? `no whole answer within ${asked.timeout} ms` : "the request was given up";
      resolve(err({ kind: "timeout", detail }));
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
  return await Promise.race([given, exchange(options, asked, signal)]);
}

async function exchange(
  options: HttpsOptions,
  asked: HttpsRequest,
  signal: AbortSignal,
): Promise<Result<HttpsResponse, HttpsProblem>> {
  const addresses = await reachable(options, asked.host);
  if (!addresses.ok) return addresses;
  const connected = await connect({ addresses: addresses.value, port: asked.port, timeout: CONNECT_TIMEOUT, signal });
  if (!connected.ok) return err(fromNet(connected.error));
  if (signal.aborted) {
    connected.value.destroy();
    return err({ kind: "timeout", detail: "the request was given up" });
  }
  const verify = { kind: "name", names: [asked.host], ...(options.ca === null ? {} : { ca: options.ca }) } as const;
  const secured = await upgradeClient(connected.value, {
    serverName: asked.host,
    verify,
    timeout: Math.min(HANDSHAKE_TIMEOUT, asked.timeout),
    signal,
  });
  if (!secured.ok) return err(fromNet(secured.error));
  const duplex = duplexOf(secured.value);
  try {
    return await converse(duplex, asked, signal);
  } finally {
    duplex.destroy();
  }
}

/** The addresses of a host that may be connected to, IPv6 and IPv4 in turn (RFC 8305 §4). */
async function reachable(
  { resolver, networks }: HttpsOptions,
  host: string,
): Promise<Result<readonly string[], HttpsProblem>> {
  const [six, four] = await Promise.all([resolver.addresses(host, 6), resolver.addresses(host, 4)]);
  const [v6, v4] = [six, four].map((answer) => (answer.kind === "found" ? answer.records : []));
  const all = Array.from({ length: MAX_ADDRESSES }, (_, at) => [v6?.[at], v4?.[at]]).flat();
  const found = all.filter((address) => address !== undefined);
  if (found.length === 0) {
    const failed = [six, four].find((answer) => answer.kind === "failed");
    const detail =
      failed?.kind === "failed" ? `${host} could not be looked up: ${failed.detail}` : `${host} has no address`;
    return err({ kind: "address", detail });
  }
  const isOwn = inNetworks(networks);
  const usable = found.filter((address) => isPublicAddress(address) || isOwn(address)).slice(0, MAX_ADDRESSES);
  if (usable.length > 0) return ok(usable);
  return err({ kind: "address", detail: `${host} has no public address, only ${found.slice(0, 3).join(", ")}` });
}

function converse(
  duplex: Duplex,
  asked: HttpsRequest,
  signal: AbortSignal,
): Promise<Result<HttpsResponse, HttpsProblem>> {
  const { host, port, method, path, headers, body } = asked;
  return new Promise((resolve) => {
    const broken = (cause: unknown): void => resolve(err(httpProblem(cause)));
    const call = request({
      createConnection: () => duplex,
      method,
      path,
      setHost: false,
      headers: {
        host: port === 443 ? host : `${host}:${port}`,
        "accept-encoding": "identity",
        connection: "close",
        ...headers,
        ...(body === null ? {} : { "content-length": String(body.length) }),
      },
      maxHeaderSize: MAX_HEADERS,
      signal,
    });
    call.on("error", broken);
    call.on("response", (response) => {
      response.on("error", broken);
      resolve(readResponse(response, asked.bodyLimit).catch((cause) => err(httpProblem(cause))));
    });
    call.end(body ?? undefined);
  });
}

async function readResponse(response: IncomingMessage, limit: number): Promise<Result<HttpsResponse, HttpsProblem>> {
  const tooLarge = { kind: "tooLarge", detail: `the answer has more than ${limit} octets` } as const;
  if (Number(response.headers["content-length"] ?? 0) > limit) return err(tooLarge);
  const encoding = response.headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    return err({ kind: "malformed", detail: "the answer is in a content encoding that was not asked for" });
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > limit) return err(tooLarge);
    chunks.push(chunk);
  }
  // A length that was announced and did not come, or a last chunk that is missing.
  if (!response.complete) return err({ kind: "malformed", detail: "the answer was cut off" });
  const mediaType = (response.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  return ok({ status: response.statusCode ?? 0, mediaType, body: new Uint8Array(Buffer.concat(chunks)) });
}

function fromNet({ kind, detail }: NetProblem): HttpsProblem {
  switch (kind) {
    case "certificate":
      return { kind, detail };
    case "timeout":
      return { kind, detail };
    default:
      return { kind: "network", detail };
  }
}

function httpProblem(cause: unknown): HttpsProblem {
  return fromNet(netProblem(cause));
}
