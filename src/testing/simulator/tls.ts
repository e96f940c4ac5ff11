import { bytesEqual, err, instant, ok, type Result } from "../../base/index.ts";
import type {
  CertificateReason,
  ClearStream,
  ClientTlsOptions,
  NetProblem,
  PeerCertificate,
  PeerDemand,
  TlsInfo,
} from "../../net/index.ts";
import type { HandshakeRecord, LinkEnd } from "./link-end.ts";
import { LinkStream } from "./link-stream.ts";

/** A certificate as far as anybody looks at it. */
export interface SimulatedCertificate {
  readonly names: readonly string[];
  /** By an authority that everybody trusts. */
  readonly trusted: boolean;
  readonly expired: boolean;
  /** SHA-256 of its key, 32 octets: what a TLSA record `3 1 1` holds. */
  readonly key: Uint8Array;
}

/** What a server does about handshakes. */
export interface SimulatedServerTls {
  /** Asked for each handshake. */
  certificate(): SimulatedCertificate;
  /** "mute" never answers; "hangUp" closes; "classical" is mute unless the ClientHello is small. */
  manner(): "proper" | "mute" | "hangUp" | "classical";
}

interface ClientHello {
  readonly serverName: string | null;
  readonly small: boolean;
}

const CLOSED: NetProblem = { kind: "reset", detail: "the connection broke in the handshake" };
const EARLY: NetProblem = { kind: "tls", detail: "clear text came where the TLS handshake was due" };

/** A handshake as a server, with the port that `Upgrade` of the server has. Times out after `timeout` milliseconds. */
export function simulatedServerUpgrade(
  tls: SimulatedServerTls,
  timeout: number,
): (stream: ClearStream) => Promise<Result<LinkStream, NetProblem>> {
  return (stream) => {
    const end = endOf(stream);
    return runHandshake(end, timeout, (record, { fail, succeed }) => {
      if (record.name === "finished") return succeed(new LinkStream(end, tlsInfo(serverNameOf(record), null)));
      if (record.name !== "clientHello") return fail({ kind: "tls", detail: "the client ended the handshake" });
      const manner = tls.manner();
      if (manner === "hangUp") return fail(CLOSED);
      if (manner === "mute" || (manner === "classical" && !helloOf(record).small)) return;
      end.sendRecord({ name: "serverHello", content: tls.certificate() });
    });
  };
}

/** A handshake as a client, in place of `upgradeClient`. */
export function simulatedClientUpgrade(
  stream: ClearStream,
  options: ClientTlsOptions,
): Promise<Result<LinkStream, NetProblem>> {
  const end = endOf(stream);
  const { serverName, verify, lenient = false, timeout, groups = "all" } = options;
  const hello: ClientHello = { serverName, small: groups !== "all" };
  const done = runHandshake(end, timeout, (record, { fail, succeed }) => {
    if (record.name !== "serverHello" || !isCertificate(record.content)) return fail(EARLY);
    const judged = judge(verify, record.content);
    if (!judged.ok && !lenient && verify.kind !== "nothing") {
      end.sendRecord({ name: "alert", content: null });
      return fail({
        kind: "certificate",
        detail: `the certificate was not taken: ${judged.error}`,
        reason: judged.error,
      });
    }
    end.sendRecord({ name: "finished", content: hello });
    succeed(new LinkStream(end, tlsInfo(serverName, shownCertificate(record.content, judged))));
  });
  end.sendRecord({ name: "clientHello", content: hello });
  return done.then((result) =>
    result.ok || !isSilent(result.error) ? result : err({ ...result.error, silent: true }),
  );
}

/** What a simulated certificate proves of what is demanded. */
function judge(
  demand: PeerDemand,
  { names, trusted, expired, key }: SimulatedCertificate,
): Result<PeerCertificate["proven"], CertificateReason> {
  switch (demand.kind) {
    case "nothing":
      return ok("nothing");
    case "pin":
      return demand.pins.includes(hex(key)) ? ok("pin") : err("pin");
    case "dane":
      return demand.records.some(({ data }) => bytesEqual(data, key)) ? ok("dane") : err("dane");
    case "name":
      if (demand.pins?.includes(hex(key)) === true) return ok("pin");
      if (!trusted) return err("untrusted");
      if (expired) return err("expired");
      return demand.names.some((name) => names.includes(name.toLowerCase())) ? ok("name") : err("name");
  }
}

interface Ending {
  fail(problem: NetProblem): void;
  succeed(stream: LinkStream): void;
}

/** Before a record came from the other side the trouble may be the size of ours. */
function isSilent({ kind, detail }: NetProblem): boolean {
  return kind === "timeout" || detail === CLOSED.detail;
}

function runHandshake(
  end: LinkEnd,
  timeout: number,
  take: (record: HandshakeRecord, ending: Ending) => void,
): Promise<Result<LinkStream, NetProblem>> {
  return new Promise((resolve) => {
    let over = false;
    const finish = (result: Result<LinkStream, NetProblem>): void => {
      if (over) return;
      over = true;
      timer.cancel();
      end.handshakeOver();
      if (!result.ok) end.destroy();
      resolve(result);
    };
    const fail = (problem: NetProblem): void => finish(err(problem));
    const ending: Ending = { fail, succeed: (stream) => finish(ok(stream)) };
    const timer = end.link.loop.after(timeout, () => {
      if (end.life.alive) fail({ kind: "timeout", detail: `no handshake within ${timeout} ms` });
    });
    // Octets read before the handshake began are an injection (RFC 3207 §6).
    if (end.waiting) return fail(EARLY);
    end.handshake((record) => {
      if (over) return;
      if (record === "octets") fail(EARLY);
      else if (record === "closed") fail(CLOSED);
      else take(record, ending);
    });
  });
}

function endOf(stream: ClearStream): LinkEnd {
  if (stream instanceof LinkStream) return stream.linkEnd;
  throw new TypeError("only streams of the simulated network have a simulated handshake");
}

function helloOf({ content }: HandshakeRecord): ClientHello {
  const small = typeof content === "object" && content !== null && "small" in content && content.small === true;
  return { serverName: null, small };
}

function serverNameOf({ content }: HandshakeRecord): string | null {
  if (typeof content !== "object" || content === null || !("serverName" in content)) return null;
  return typeof content.serverName === "string" ? content.serverName : null;
}

function isCertificate(content: unknown): content is SimulatedCertificate {
  return typeof content === "object" && content !== null && "trusted" in content && "key" in content;
}

function tlsInfo(serverName: string | null, peerCertificate: PeerCertificate | null): TlsInfo {
  return {
    version: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    group: "X25519MLKEM768",
    serverName,
    resumed: false,
    peerCertificate,
  };
}

function shownCertificate(
  { names, key }: SimulatedCertificate,
  judged: Result<PeerCertificate["proven"], CertificateReason>,
): PeerCertificate {
  const [name = ""] = names;
  const authorized = judged.ok && judged.value !== "nothing";
  return {
    subject: `CN=${name}`,
    issuer: "CN=Simulated",
    names,
    validTo: new Date(instant(Date.UTC(2040, 0, 1))).toISOString(),
    fingerprint256: hex(key),
    spki256: hex(key),
    authorized,
    proven: judged.ok ? judged.value : "nothing",
    problem: judged.ok ? null : judged.error,
    reason: judged.ok ? null : judged.error,
  };
}

/** Keys are few, and shown often. */
const shownKeys = new WeakMap<Uint8Array, string>();

function hex(bytes: Uint8Array): string {
  const known = shownKeys.get(bytes);
  if (known !== undefined) return known;
  const shown = Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join("");
  shownKeys.set(bytes, shown);
  return shown;
}
