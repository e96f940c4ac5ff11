// What mail programs are told of a configuration: where to submit and to read mail, and how to log in.
import { domainToASCII } from "node:url";
import type { Config } from "../config/index.ts";
import { type ClientAuthentication, formatClientSettings, type Page, type ServerSettings } from "../web/index.ts";

/** A port at which users submit mail. */
export interface SubmissionPlace {
  readonly port: number;
  readonly implicit: boolean;
}

/** Each port once, though it may be listened on at several addresses. Implicit TLS first (RFC 8314 §3.3); any free port is none. */
export function submissionPlaces({ listeners }: Pick<Config, "listeners">): readonly SubmissionPlace[] {
  const found = listeners.filter(({ service, address }) => service === "submission" && address.port !== 0);
  const places = new Map(found.map(({ address, tls }) => [address.port, tls === "implicit"]));
  return [...places]
    .map(([port, implicit]) => ({ port, implicit }))
    .sort((a, b) => Number(b.implicit) - Number(a.implicit));
}

type Served = Pick<Config, "hostname" | "listeners" | "web" | "domains" | "auth" | "autoconfig">;

/** Whether the settings are to be had here. */
export function servesSettings(config: Pick<Config, "listeners" | "web">): boolean {
  return config.web.length > 0 && submissionPlaces(config).length > 0;
}

/**
 * Where programs look: Thunderbird at the first (of `autoconfig.DOMAIN`) and the second (of `DOMAIN`), the draft of the IETF at the
 * last. Each is served under both names.
 */
const PATHS = [
  "/mail/config-v1.1.xml",
  "/.well-known/autoconfig/mail/config-v1.1.xml",
  "/.well-known/mail-v1.xml",
] as const;

/** How long programs and proxies may keep the settings, seconds. */
const MAX_AGE = 3600;

/** The settings of each of our domains; none where nobody submits mail. */
export function settingsPages(config: Served): readonly Page[] {
  if (!servesSettings(config)) return [];
  const bodies = new Map(
    config.domains.flatMap(({ name }) => {
      const domain = ascii(name);
      const body = settingsOf(config, domain, name);
      return [
        [`autoconfig.${domain}`, body],
        [domain, body],
      ] as const;
    }),
  );
  return PATHS.map((path) => ({
    path,
    serves: (host) => bodies.has(host),
    respond({ host }) {
      const body = bodies.get(host);
      return body === undefined ? null : { status: 200, type: "text/xml; charset=utf-8", body, maxAge: MAX_AGE };
    },
  }));
}

function settingsOf(config: Served, domain: string, name: string): string {
  const { autoconfig, hostname } = config;
  const incoming = autoconfig.incoming.map((server) => ({ ...server, host: ascii(server.host) }));
  const outgoing = submissionPlaces(config).map(
    (place): ServerSettings => ({
      kind: "smtp",
      host: ascii(hostname),
      ...place,
    }),
  );
  return formatClientSettings({
    domain,
    name: autoconfig.name ?? name,
    username: autoconfig.username,
    authentication: authenticationOf(config.auth),
    servers: [...incoming, ...outgoing],
  });
}

/**
 * A password in TLS first: every program knows it, while tokens work only where the program knows the issuer. `password-encrypted` is
 * named only where nothing else is left: to older programs it means CRAM-MD5, which is not served.
 */
function authenticationOf({ mechanisms, oauth }: Config["auth"]): readonly ClientAuthentication[] {
  const has = (...names: readonly (typeof mechanisms)[number][]): boolean =>
    names.some((name) => mechanisms.includes(name));
  const ways: ClientAuthentication[] = [];
  if (has("PLAIN", "LOGIN")) ways.push("password-cleartext");
  if (oauth !== null && has("OAUTHBEARER", "XOAUTH2")) ways.push("OAuth2");
  if (ways.length === 0 && has("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")) ways.push("password-encrypted");
  if (ways.length === 0) ways.push("TLS-client-cert");
  return ways;
}

function ascii(name: string): string {
  return domainToASCII(name) || name;
}
