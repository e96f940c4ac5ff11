/** How a server is reached and logged in to. */
export interface ServerSettings {
  readonly kind: "imap" | "pop3" | "smtp";
  /** A-labels. */
  readonly host: string;
  readonly port: number;
  /** TLS comes first; else by STARTTLS. */
  readonly implicit: boolean;
}

/** Ways to log in as the format names them. `password-cleartext`: the password itself, in TLS. */
export type ClientAuthentication = "password-cleartext" | "password-encrypted" | "OAuth2" | "TLS-client-cert";

/** What a mail program has to know to send and to read the mail of an address. */
export interface ClientSettings {
  /** A-labels. */
  readonly domain: string;
  /** Of the provider, for people. */
  readonly name: string;
  /** `%EMAILADDRESS%` and `%EMAILLOCALPART%` are filled in by the program. */
  readonly username: string;
  /** Best first, for every server. */
  readonly authentication: readonly ClientAuthentication[];
  /** Best first. */
  readonly servers: readonly ServerSettings[];
}

/**
 * The settings as XML, in the format that Thunderbird and others read (Mozilla's config-v1.1, draft-ietf-mailmaint-autoconfig). The
 * same for everybody: it tells of no address whether there is one.
 */
export function formatClientSettings(settings: ClientSettings): string {
  const { domain, name, servers } = settings;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<clientConfig version="1.1">',
    `  <emailProvider id="${xmlText(domain)}">`,
    `    ${element("domain", domain)}`,
    `    ${element("displayName", name)}`,
    `    ${element("displayShortName", name)}`,
    ...servers.flatMap((server) => serverLines(server, settings).map((line) => `    ${line}`)),
    "  </emailProvider>",
    "</clientConfig>",
    "",
  ].join("\r\n");
}

function serverLines(server: ServerSettings, { username, authentication }: ClientSettings): readonly string[] {
  const { kind, host, port, implicit } = server;
  const tag = kind === "smtp" ? "outgoingServer" : "incomingServer";
  return [
    `<${tag} type="${kind}">`,
    ...[
      element("hostname", host),
      element("port", String(port)),
      element("socketType", implicit ? "SSL" : "STARTTLS"),
      element("username", username),
      ...authentication.map((way) => element("authentication", way)),
    ].map((line) => `  ${line}`),
    `</${tag}>`,
  ];
}

function element(tag: string, text: string): string {
  return `<${tag}>${xmlText(text)}</${tag}>`;
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  ["'", "&apos;"],
]);

/** XML 1.0 §2.2, §2.4: what is markup is written otherwise, and what may not stand in XML at all is replaced. */
function xmlText(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replace(/[&<>"']/g, (letter) => ENTITIES.get(letter) ?? letter);
}
