import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { err, ok, type Result } from "../base/index.ts";
import { rememberChannel } from "./channel-binding.ts";
import { awaitFirstOctets, runHandshake, takeSocket } from "./handshake.ts";
import { namesHost } from "./host-name.ts";
import { identifyPeer, type KnownPeer, type ReadPeer, readPeers } from "./known-peer.ts";
import { readCertificates } from "./pem.ts";
import { netProblem } from "./problem.ts";
import { tlsStream } from "./socket-stream.ts";
import type { ClearStream, NetProblem, PeerCertificate, Stream } from "./stream.ts";
import { peerCertificate, tlsInfo } from "./tls-info.ts";
import { CIPHERS, NO_TICKETS, OLDEST_VERSION, SERVER_SECURE_OPTIONS } from "./tls-settings.ts";

/** A certificate chain and its key, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface ServerTlsOptions {
  /** The first is the default; by SNI the first whose names match is shown (several for one name: by key type). */
  readonly keyPairs: readonly KeyPair[];
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /**
   * Whether sessions can be resumed. By default not: resumption has lost mail of some senders. OpenSSL sends tickets in TLS 1.3
   * in any case (Node has no way to ask for none); with this off they name a session that nobody kept, and the next
   * connection makes a full handshake.
   */
  readonly sessionTickets?: boolean;
  /** What is spoken inside, as its ALPN id; default "smtp". */
  readonly protocol?: "smtp" | "http/1.1";
  /**
   * Whether clients are asked for a certificate; default "none". A client may answer with none, and whatever it shows the handshake
   * goes on: `PeerCertificate.identity` tells whether it is known. No authorities are named to the client: it would choose by
   * them, and anybody could read there who the peers are.
   *
   * Not together with `sessionTickets`: a session that is resumed brings the certificate without its chain, and would outlive
   * the rule by which the peer was known.
   */
  readonly clientCertificates?: "none" | "request";
  /** The clients that are known by their certificates. */
  readonly peers?: readonly KnownPeer[];
}

/** A key pair that was read and found to belong together. */
interface Identity {
  readonly pair: KeyPair;
  readonly leaf: X509Certificate;
  readonly keyType: string;
  /** End of validity of the chain, milliseconds since the epoch. */
  readonly expires: number;
}

/** The identities for one set of names, and the context that shows that one of them whose key type the client knows. */
interface Presented {
  readonly leaf: X509Certificate;
  readonly context: SecureContext;
}

interface Loaded {
  readonly protocol: string;
  readonly first: Presented;
  readonly all: readonly Presented[];
  readonly expires: number;
  /** Null where clients are not asked for certificates. */
  readonly peers: readonly ReadPeer[] | null;
}

/** What this file alone may see of a `ServerTls`. */
let loadedBy: (tls: ServerTls) => Loaded;

/** The server's side of TLS. `replace` takes effect for the next handshake; running sessions keep theirs. */
export class ServerTls {
  #loaded: Loaded;

  private constructor(loaded: Loaded) {
    this.#loaded = loaded;
  }

  /** Fails with one plain line when a certificate or key cannot be read or they do not belong together. */
  static create(options: ServerTlsOptions): Result<ServerTls, string> {
    const loaded = load(options);
    return loaded.ok ? ok(new ServerTls(loaded.value)) : loaded;
  }

  /** Changes nothing when it fails. */
  replace(options: ServerTlsOptions): Result<void, string> {
    const loaded = load(options);
    if (!loaded.ok) return loaded;
    this.#loaded = loaded.value;
    return ok(undefined);
  }

  /** Earliest end of validity of the certificates, milliseconds since the epoch. */
  get expires(): number {
    return this.#loaded.expires;
  }

  static {
    loadedBy = (tls) => tls.#loaded;
  }
}

/** Runs the handshake as a server. `stream` is consumed; on a failure it is closed. `timeout` in milliseconds. */
export async function upgradeServer(
  stream: ClearStream,
  tls: ServerTls,
  timeout: number,
): Promise<Result<Stream, NetProblem>> {
  const taken = await takeSocket(stream, timeout);
  if (!taken.ok) return taken;
  const until = performance.now() + timeout;
  const begun = await awaitFirstOctets(taken.value, timeout);
  if (!begun.ok) return begun;
  const loaded = loadedBy(tls);
  const socket = wrap(taken.value, loaded);
  return runHandshake({
    socket,
    event: "secure",
    timeout: Math.max(1, until - performance.now()),
    finish: () => {
      const { servername } = socket;
      const shown = loaded.peers === null ? null : clientCertificate(socket, loaded.peers);
      const name = typeof servername === "string" ? servername : null;
      const secured = tlsStream(socket, stream, tlsInfo(socket, name, shown));
      rememberChannel(secured, socket, null);
      return ok(secured);
    },
  });
}

/** RFC 5280 allows any length, and OpenSSL bounds the octets; longer chains than this are nobody's. */
const LONGEST_CHAIN = 16;

function clientCertificate(socket: TLSSocket, peers: readonly ReadPeer[]): PeerCertificate | null {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return null;
  const chain: X509Certificate[] = [];
  for (let sent: X509Certificate | undefined = leaf; sent !== undefined; sent = sent.issuerCertificate) {
    if (chain.push(sent) === LONGEST_CHAIN) break;
  }
  const identified = identifyPeer(chain, peers, Date.now());
  if (!identified.ok) return peerCertificate(leaf, identified);
  const { identity, proven } = identified.value;
  return { ...peerCertificate(leaf, ok(proven)), identity };
}

function wrap(socket: Socket, { protocol, first, all, peers }: Loaded): TLSSocket {
  return new TLSSocket(socket, {
    isServer: true,
    secureContext: first.context,
    requestCert: peers !== null,
    // What it proves is looked at when the handshake is done, so that an unknown one is no reason to break it off.
    rejectUnauthorized: false,
    // No ALPN id is registered for SMTP: a client that names its protocol is refused unless that is "smtp", so that a
    // browser's request is never taken for mail (RFC 9325 §3.7). A client that offers none is served.
    ALPNProtocols: [protocol],
    // Without a choice there is no callback, and the handshake need not wait for one.
    ...(all.length === 1
      ? {}
      : { SNICallback: (name: string, choose) => choose(null, presentedFor(name, all)?.context) }),
  });
}

function presentedFor(name: string, all: readonly Presented[]): Presented | undefined {
  return all.find(({ leaf }) => namesHost(leaf, name));
}

function load(options: ServerTlsOptions): Result<Loaded, string> {
  const asks = options.clientCertificates === "request";
  if (asks && options.sessionTickets === true) return err("sessions with client certificates cannot be resumed");
  const peers = asks ? readPeers(options.peers ?? []) : ok(null);
  if (!peers.ok) return peers;
  const identities: Identity[] = [];
  for (const [index, pair] of options.keyPairs.entries()) {
    const identity = readIdentity(pair);
    if (!identity.ok)
      return err(options.keyPairs.length > 1 ? `key pair ${index + 1}: ${identity.error}` : identity.error);
    identities.push(identity.value);
  }
  const all: Presented[] = [];
  for (const group of groupByNames(identities)) {
    const presented = present(group, options);
    if (!presented.ok) return presented;
    all.push(presented.value);
  }
  const [first] = all;
  if (first === undefined) return err("no certificate was given");
  return ok({
    protocol: options.protocol ?? "smtp",
    first,
    all,
    expires: Math.min(...identities.map(({ expires }) => expires)),
    peers: peers.value,
  });
}

function readIdentity(pair: KeyPair): Result<Identity, string> {
  const chain = readCertificates(pair.certificate);
  if (!chain.ok) return err(`the certificate file cannot be used: ${chain.error}`);
  const [leaf] = chain.value;
  let key: KeyObject;
  try {
    key = createPrivateKey(pair.privateKey);
  } catch (error) {
    return err(`the private key cannot be read (it must be PEM and without a passphrase): ${netProblem(error).detail}`);
  }
  if (!leaf.checkPrivateKey(key)) {
    return err("the private key does not belong to the certificate (the server's own certificate must come first)");
  }
  const expires = Math.min(...chain.value.map(({ validToDate }) => validToDate.getTime()));
  return ok({ pair, leaf, keyType: key.asymmetricKeyType ?? "", expires });
}

/** Those with equal names and unlike key types share a context: OpenSSL then chooses by what the client can verify. */
function groupByNames(identities: readonly Identity[]): Identity[][] {
  const groups: Identity[][] = [];
  for (const identity of identities) {
    const names = identity.leaf.subjectAltName;
    const group = groups.find((members) =>
      members.every(({ leaf, keyType }) => leaf.subjectAltName === names && keyType !== identity.keyType),
    );
    if (group === undefined) groups.push([identity]);
    else group.push(identity);
  }
  return groups;
}

function present(group: readonly Identity[], options: ServerTlsOptions): Result<Presented, string> {
  const [first] = group;
  if (first === undefined) return err("no certificate was given");
  try {
    const context = createSecureContext({
      cert: group.map(({ pair }) => pair.certificate),
      key: group.map(({ pair }) => pair.privateKey),
      minVersion: options.minVersion ?? OLDEST_VERSION,
      ciphers: CIPHERS,
      dhparam: "auto",
      secureOptions: SERVER_SECURE_OPTIONS | (options.sessionTickets === true ? 0 : NO_TICKETS),
    });
    return ok({ leaf: first.leaf, context });
  } catch (error) {
    return err(`the certificate cannot be used: ${netProblem(error).detail}`);
  }
}
