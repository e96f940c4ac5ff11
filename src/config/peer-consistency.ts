import type { KeyPath } from "./places.ts";
import type { Finding } from "./problems.ts";
import { parseKeyPin } from "./values.ts";
import { field, list } from "./written.ts";

/** Listeners that ask for certificates, and the peers that are known by them: what contradicts or misses the other. */
export function peerFindings(written: unknown): readonly Finding[] {
  const peers = list(written, "peer");
  const listeners = list(written, "listener");
  const asking = listeners.some((listener) => asks(field(listener, "client_certificates")));
  const seen = { names: new Set<unknown>(), keys: new Set<string>() };
  return [
    ...listeners.flatMap((listener, position) => listenerFindings(listener, position, peers.length > 0)),
    ...peers.flatMap((peer, position) => [
      ...identityFindings(peer, position),
      ...twiceFindings(peer, position, seen),
      ...(asking ? userFindings(peer, position, listeners) : [unasked(position)]),
    ]),
  ];
}

function asks(clientCertificates: unknown): boolean {
  return clientCertificates === "request" || clientCertificates === "require";
}

function listenerFindings(listener: unknown, position: number, anyPeers: boolean): Finding[] {
  const demand = field(listener, "client_certificates");
  if (!asks(demand)) return [];
  const path = ["listener", position, "client_certificates"];
  const findings: Finding[] = [];
  if (field(listener, "tls") === "none") {
    const remedy = 'write tls = "starttls" or "implicit"';
    findings.push({ path, problem: "there is no certificate without TLS", remedy });
  }
  if (field(listener, "session_tickets") === true) {
    const problem = "a resumed session would outlive the rule by which a peer was known";
    const remedy = "write false where certificates are asked for";
    findings.push({ path: ["listener", position, "session_tickets"], problem, remedy });
  }
  if (demand === "require" && !anyPeers) {
    const remedy = "add a [[peer]] for each client that may come in";
    findings.push({ path, problem: "no client could come in: there is no [[peer]]", remedy });
  }
  return findings;
}

function identityFindings(peer: unknown, position: number): Finding[] {
  const [spki, ca, names] = ["spki", "ca", "names"].map((key) => field(peer, key) !== undefined);
  const at = (...keys: readonly string[]): KeyPath => ["peer", position, ...keys];
  if (spki && ca) {
    const remedy = "keep one of the two, or write a second [[peer]] with another name";
    return [{ path: at("ca"), problem: "stands beside spki, and only one of them can decide", remedy }];
  }
  if (ca && !names) {
    const remedy = 'add names = ["…"] with the names that its certificate may have';
    return [{ path: at("ca"), problem: "any certificate of these authorities would do", remedy }];
  }
  if (names && !ca) return [{ path: at("names"), problem: "no authority vouches for these names", remedy: "add ca" }];
  if (spki || ca) return [];
  const remedy = 'add spki = ["…"], or ca = "FILE" and names = ["…"]';
  return [{ path: at(), problem: "there is nothing to know this peer by", remedy }];
}

interface Seen {
  readonly names: Set<unknown>;
  readonly keys: Set<string>;
}

function twiceFindings(peer: unknown, position: number, { names, keys }: Seen): Finding[] {
  const findings: Finding[] = [];
  const name = field(peer, "name");
  if (typeof name === "string" && names.has(name)) {
    const remedy = "give each [[peer]] a name of its own";
    findings.push({ path: ["peer", position, "name"], problem: `${JSON.stringify(name)} stands here twice`, remedy });
  }
  names.add(name);
  list(peer, "spki").forEach((written, at) => {
    const key = parseKeyPin(String(written));
    if (!key.ok) return;
    if (keys.has(key.value)) {
      const remedy = "keep one of the two";
      findings.push({ path: ["peer", position, "spki", at], problem: "this key stands here twice", remedy });
    }
    keys.add(key.value);
  });
  return findings;
}

/** A user is logged in by a certificate only where users log in. */
function userFindings(peer: unknown, position: number, listeners: readonly unknown[]): Finding[] {
  if (field(peer, "user") === undefined) return [];
  const submits = (listener: unknown): boolean => field(listener, "service") === "submission";
  if (listeners.some((listener) => submits(listener) && asks(field(listener, "client_certificates")))) return [];
  const remedy = 'write client_certificates = "request" at a [[listener]] with service = "submission"';
  return [{ path: ["peer", position, "user"], problem: "no submission listener asks for client certificates", remedy }];
}

function unasked(position: number): Finding {
  const remedy = 'write client_certificates = "request" at a [[listener]]';
  return { path: ["peer", position], problem: "no listener asks for client certificates", remedy };
}
