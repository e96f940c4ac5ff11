import type { Duration } from "../base/index.ts";
import type { Mailbox, SaslMechanism } from "../smtp/index.ts";
import type { UserLimit } from "./sending-limits.ts";

/** An IP address and a port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Who is served at a listener: other servers (MTA) or users who submit (MSA). */
export type Service = "mx" | "submission";

/** How TLS begins at a listener. */
export type ListenerTls = "starttls" | "implicit" | "none";

/** The least that a connection to a next hop must prove. */
export type TlsLevel = "off" | "opportunistic" | "encrypted" | "verified" | "dane";

/** Where mail for elsewhere goes. `host` is a domain name or an IP address without brackets. */
export type Via =
  | { readonly kind: "mx" }
  | { readonly kind: "smtp" | "smtps" | "lmtp"; readonly host: string; readonly port: number };

/** How mail of a local domain ends. `path` is absolute and may hold `{user}` and `{domain}`. */
export type LocalDelivery =
  | { readonly kind: "maildir"; readonly path: string }
  | { readonly kind: "lmtp"; readonly host: string; readonly port: number }
  | { readonly kind: "discard" };

/** Files in PEM, absolute paths. */
export interface KeyPairFiles {
  readonly certificate: string;
  readonly privateKey: string;
}

/** Sizes are in octets. */
export interface LimitsConfig {
  readonly messageSize: number;
  readonly recipients: number;
  /** MAIL commands of one inbound connection (RFC 9422, MAILMAX). */
  readonly transactions: number;
  /** Inbound connections at once, over all listeners. */
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Refused commands after which a connection is closed. */
  readonly errors: number;
  /** Received fields after which a message is taken to loop (RFC 5321 §6.3). */
  readonly hops: number;
  /** How long users may have mail held back (RFC 4865). */
  readonly futureRelease: Duration;
  /** Bodies kept in memory between acceptance and delivery. */
  readonly memory: number;
}

/** What inbound sessions answer. */
export interface SmtpConfig {
  /** VRFY gets 252, else 502. */
  readonly vrfy: boolean;
}

/** How users log in. */
export interface AuthConfig {
  readonly mechanisms: readonly SaslMechanism[];
  readonly source: UserSource;
  readonly oauth: OauthConfig | null;
}

/** Who knows names and passwords. Paths are absolute. */
export type UserSource =
  | { readonly kind: "users" }
  | {
      readonly kind: "dovecot";
      readonly at: { readonly path: string } | { readonly host: string; readonly port: number };
    }
  | { readonly kind: "http"; readonly url: string; readonly ca: readonly string[] };

/** Tokens of OAuth 2.0. */
export interface OauthConfig {
  readonly issuer: string;
  readonly audience: string;
  /** What tokens are checked by; files are absolute. */
  readonly keys:
    | { readonly kind: "url"; readonly url: string }
    | { readonly kind: "file"; readonly file: string }
    | { readonly kind: "introspection"; readonly url: string; readonly clientId: string; readonly secretFile: string };
  readonly userClaim: string;
  /** JWA names (RFC 7518 §3.1). */
  readonly algorithms: readonly string[];
  readonly scope: string | null;
  readonly clockSkew: Duration;
  readonly keyLifetime: Duration;
  /** Files of authorities trusted besides the system's, absolute. */
  readonly ca: readonly string[];
}

/** Mail from users. */
export interface SubmissionConfig {
  /** What becomes of a sender that the user may not use. */
  readonly sender: "enforce" | "correct" | "any";
  /** Put behind addresses without a domain; null: the domain of the user's own address. */
  readonly qualifyDomain: string | null;
  /** The trace field tells nothing of where the user is. */
  readonly hideClient: boolean;
  /** Of each user who has none of their own; 0 is no limit, `message_size` is in octets. */
  readonly limits: Readonly<Record<UserLimit, number>>;
  /** Of each client address; those that only users have are 0. */
  readonly addressLimits: Readonly<Record<UserLimit, number>>;
}

export interface TimeoutsConfig {
  /** For the next command (RFC 5321 §4.5.3.2.7). */
  readonly command: Duration;
  /** For the next octets of a message. */
  readonly data: Duration;
  /** For a TLS handshake, in and out. */
  readonly handshake: Duration;
  /** For a connection to a next hop to open. */
  readonly connect: Duration;
  /** What running sessions get when the daemon stops. */
  readonly stop: Duration;
}

export interface DeliveryConfig {
  /** At MX hosts. */
  readonly port: number;
  /** 8-bit mail for a server without 8BITMIME. */
  readonly eightBit: "bounce" | "convert";
  /** BDAT where it saves a round trip, or never. */
  readonly chunking: "auto" | "never";
  /** Octets a second that other servers must take of a message, on the whole. */
  readonly leastRate: number;
  /** The MTA-STS policies of recipient domains count. */
  readonly mtaSts: boolean;
  /** Hold hosts to their TLSA records. */
  readonly dane: boolean;
  /** Files of authorities trusted besides the system's, absolute. */
  readonly ca: readonly string[];
  /** Where nothing demands TLS. */
  readonly afterTlsFailure: "defer" | "clear";
  /** For how long a host is held to what it proved; 0: not at all. */
  readonly downgradeHold: Duration;
  readonly tlsResumption: boolean;
}

export interface RouteConfig {
  readonly match: string;
  readonly via: Via;
  readonly tls: TlsLevel;
  /** Files of authorities in place of those trusted by default, absolute; none: those. */
  readonly ca: readonly string[];
  /** SHA-256 of the SPKI, hex in lower case. */
  readonly pins: readonly string[];
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly clientCertificate: KeyPairFiles | null;
}

export interface MtaStsConfig {
  readonly mode: "enforce" | "testing" | "none";
  /** Names, or `*.` and a name. Never empty. */
  readonly mx: readonly string[];
  readonly maxAge: Duration;
  /** At policy hosts. */
  readonly fetchPort: number;
  /** CIDR networks that are not public and may be fetched from. */
  readonly fetchNetworks: readonly string[];
}

/** A server where people read their mail. */
export interface IncomingServer {
  readonly kind: "imap" | "pop3";
  /** TLS comes first; else by STARTTLS. */
  readonly implicit: boolean;
  /** A domain name. */
  readonly host: string;
  readonly port: number;
}

/** What mail programs are told besides how to submit. */
export interface AutoconfigConfig {
  /** Of the provider; null: the domain. */
  readonly name: string | null;
  readonly username: "%EMAILADDRESS%" | "%EMAILLOCALPART%";
  /** Best first. */
  readonly incoming: readonly IncomingServer[];
}

export interface QueueConfig {
  readonly retryFirst: Duration;
  readonly retryLongest: Duration;
  readonly giveUpAfter: Duration;
  /** Then the sender is told of the delay. */
  readonly warnAfter: Duration;
  /** Deliveries at once, in all. */
  readonly concurrency: number;
  /** What that of one destination may grow to. */
  readonly destinationConcurrency: number;
  /** How much is told of mail that is over: for how long, and of how many recipients. */
  readonly history: { readonly age: Duration; readonly recipients: number };
}

/** Other waits, for some domains and after some replies; null: as for all mail. */
export interface RetryConfig {
  readonly match: string;
  /** Null: any trouble. */
  readonly reply: string | null;
  readonly first: Duration | null;
  readonly longest: Duration | null;
  readonly schedule: readonly Duration[] | null;
  readonly giveUpAfter: Duration | null;
}

/** What a domain or a host may be burdened with; null: what is learned. */
export interface LimitConfig {
  readonly match: string;
  /** A part of one for a worker of several. */
  readonly messagesPerMinute: number | null;
  readonly connections: number | null;
  readonly messagesPerConnection: number | null;
}

/** Reports on TLS to other domains (RFC 8460). */
export interface TlsReportConfig {
  readonly send: boolean;
  /** ASCII, with a domain name. */
  readonly contact: string;
  readonly from: string;
  readonly organization: string;
  /** CIDR networks that are not public and may be POSTed to. */
  readonly networks: readonly string[];
}

export interface LogConfig {
  readonly level: "debug" | "info" | "warn" | "error";
  /** `auto`: pretty on a terminal, else JSON. */
  readonly format: "json" | "pretty" | "auto";
  /** Between two lines on the state of the process. */
  readonly pulse: Duration;
}

/** Reverse-paths that a peer may use. */
export type SenderRule =
  | { readonly kind: "any" }
  | { readonly kind: "domain"; readonly domain: Mailbox["domain"] }
  | { readonly kind: "address"; readonly mailbox: Mailbox };

/** A client that is known by its certificate: by its key, or by an authority and a name. */
export interface PeerConfig {
  /** Letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** SHA-256 of the SubjectPublicKeyInfo, hex in lower case. */
  readonly spki: readonly string[];
  /** A file in PEM, absolute path, and the line of the configuration that names it. */
  readonly ca: { readonly file: string; readonly line: number } | null;
  /** A-labels, or `*`. */
  readonly names: readonly string[];
  /** Whom it logs in as by EXTERNAL; null: nobody. */
  readonly user: string | null;
  readonly relay: boolean;
  readonly senders: readonly SenderRule[];
  /** Null where `limits` of the server counts. */
  readonly limits: {
    readonly messageSize: number | null;
    readonly recipients: number | null;
    readonly transactions: number | null;
    readonly connections: number | null;
  };
}

/** A whole configuration, checked: names are valid, paths absolute, lists in the order of the file. */
export interface Config {
  /** The file it came from, absolute. */
  readonly file: string;
  /** The folder of the file; what relative paths are relative to. */
  readonly folder: string;
  /** In A-labels: RFC 6531 §3.7.1 takes no other in greetings and EHLO, and a trace field must not make a message need SMTPUTF8. */
  readonly hostname: string;
  readonly dataDir: string;
  /** Processes that serve; `auto`: one for each core. */
  readonly workers: number | "auto";
  readonly listeners: readonly {
    readonly address: Endpoint;
    readonly service: Service;
    readonly tls: ListenerTls;
    readonly clientCertificates: "none" | "request" | "require";
    /** Clients may resume TLS sessions. */
    readonly sessionTickets: boolean;
    /** CIDR networks of the proxies that must send a PROXY header. */
    readonly proxy: readonly string[];
    /** CIDR networks of the clients that may use XCLIENT. */
    readonly xclient: readonly string[];
  }[];
  /** Null only where no listener offers TLS. The first pair is the default, the others are found by SNI. */
  readonly tls: {
    readonly keyPairs: readonly [KeyPairFiles, ...KeyPairFiles[]];
    /** Of the certificate that comes next; to be published, never used. */
    readonly nextPrivateKey: string | null;
  } | null;
  readonly domains: readonly {
    readonly name: string;
    readonly deliver: LocalDelivery;
    /** Local parts that have a mailbox; `*` for every one. */
    readonly recipients: readonly string[];
  }[];
  readonly smtp: SmtpConfig;
  readonly auth: AuthConfig;
  readonly submission: SubmissionConfig;
  /** CIDR networks, each with its prefix length. */
  readonly relay: { readonly networks: readonly string[] };
  readonly peers: readonly PeerConfig[];
  readonly routes: readonly RouteConfig[];
  readonly delivery: DeliveryConfig;
  /** Where pages are served. */
  readonly web: readonly { readonly address: Endpoint; readonly tls: "implicit" | "none" }[];
  readonly mtaSts: MtaStsConfig;
  readonly autoconfig: AutoconfigConfig;
  /** No servers: the system's. */
  readonly dns: { readonly servers: readonly Endpoint[]; readonly trustAd: boolean };
  readonly tlsReport: TlsReportConfig;
  readonly limits: LimitsConfig;
  readonly timeouts: TimeoutsConfig;
  readonly queue: QueueConfig;
  readonly retries: readonly RetryConfig[];
  readonly limitRules: readonly LimitConfig[];
  readonly log: LogConfig;
  /** Null: nothing is measured. */
  readonly metrics: { readonly address: Endpoint } | null;
}
