import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { LRUCache } from "lru-cache";
import type { PeerDemand } from "./peer-demand.ts";
import type { KeyPair } from "./tls-server.ts";
import { CIPHERS, CLASSICAL_GROUPS, OLDEST_VERSION, SECURE_OPTIONS } from "./tls-settings.ts";

/** What of a client's options goes into OpenSSL's context. */
export interface ContextOptions {
  readonly verify: PeerDemand;
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  readonly groups?: "all" | "classical" | readonly string[];
  readonly clientCertificate?: KeyPair;
}

export interface ClientContext {
  /** The same for equal options; of two different ones never the same within a process. */
  readonly key: string;
  readonly context: SecureContext;
}

/** A context is kept for each set of options, since reading the system's authorities takes milliseconds. */
const contexts = new LRUCache<string, SecureContext>({ max: 64 });

/** Throws OpenSSL's error where an authority is no certificate, a group is not known, or the client's key is not its own. */
export function clientContext(options: ContextOptions): ClientContext {
  const { verify, minVersion = OLDEST_VERSION, maxVersion = "TLSv1.3", clientCertificate } = options;
  const groups = groupsOf(options.groups);
  const { ca, extraCa } = verify.kind === "name" ? verify : {};
  const key = [
    ca === undefined ? (verify.kind === "name" ? "system" : "none") : serialOf(ca),
    extraCa === undefined ? "-" : serialOf(extraCa),
    clientCertificate === undefined ? "-" : serialOf(clientCertificate),
    minVersion,
    maxVersion,
    groups ?? "-",
  ].join(" ");
  const known = contexts.get(key);
  if (known !== undefined) return { key, context: known };
  const context = createSecureContext({
    ca: verify.kind === "name" ? [...(ca ?? trustedByDefault()), ...(extraCa ?? [])] : [],
    // Who names an intermediate authority trusts that one, and need not trust its root.
    allowPartialTrustChain: ca !== undefined || extraCa !== undefined,
    minVersion,
    maxVersion,
    ciphers: CIPHERS,
    secureOptions: SECURE_OPTIONS,
    ...(groups === null ? {} : { ecdhCurve: groups }),
    ...(clientCertificate === undefined
      ? {}
      : { cert: clientCertificate.certificate, key: clientCertificate.privateKey }),
  });
  contexts.set(key, context);
  return { key, context };
}

/** In OpenSSL's notation; null leaves the choice to it. */
function groupsOf(groups: ContextOptions["groups"] = "all"): string | null {
  if (groups === "all") return null;
  return groups === "classical" ? CLASSICAL_GROUPS : groups.join(":");
}

/** Objects are told apart by what they are and not by what they hold, so that no PEM text is read for a connection. */
const serials = new WeakMap<object, string>();
let lastSerial = 0;

function serialOf(object: object): string {
  const known = serials.get(object);
  if (known !== undefined) return known;
  lastSerial += 1;
  const serial = `#${lastSerial}`;
  serials.set(object, serial);
  return serial;
}

let trusted: readonly string[] | null = null;

/** What the operating system trusts and what Node was told to (`NODE_EXTRA_CA_CERTS`, its bundle). */
function trustedByDefault(): readonly string[] {
  trusted ??= [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
  return trusted;
}
