import type { ClientTls } from "../client/index.ts";
import type { DeliveryProblem } from "../queue/index.ts";
import type { TlsLevel } from "./route.ts";

/** What a connection to one host must prove, decided before it is made, with the reason in words. */
export interface TlsRequirement {
  readonly mode: ClientTls["kind"];
  /** The certificate must be valid for one of these; null: any certificate will do. */
  readonly names: readonly string[] | null;
  /** The host must offer REQUIRETLS after the handshake (RFC 8689 §4.2.1). */
  readonly requireTls: boolean;
  /** `verified (route "example.org")`; kept with the delivery. */
  readonly rule: string;
}

export type TlsDecision =
  | { readonly kind: "require"; readonly requirement: TlsRequirement }
  /** Nothing that this host could show would be enough. */
  | { readonly kind: "deferred" | "failed"; readonly problem: DeliveryProblem };

export interface TlsQuestion {
  readonly level: TlsLevel;
  /** Which line of the configuration asked for `level`. */
  readonly reason: string;
  /** The host's name as routed. */
  readonly host: string;
  /** TLS from the first octet (`smtps`). */
  readonly implicit: boolean;
  /** The message carries REQUIRETLS. */
  readonly requireTls: boolean;
  /** The host's name is configured, or DNSSEC-validated. */
  readonly secureName: boolean;
}

/**
 * The one place where it is decided what a connection must prove; what a domain publishes (DANE, MTA-STS) will be asked here
 * too, per recipient domain.
 */
export function decideTls(question: TlsQuestion): TlsDecision {
  if (question.level === "dane") {
    // Fails closed: a level that cannot be proven is never read as a lesser one.
    const text = `${question.reason} demands DANE, which this version cannot check; the mail waits`;
    return { kind: "deferred", problem: { text, reply: null, status: "4.7.5" } };
  }
  if (question.requireTls) return requireTls(question);
  const mode = modeOf(question.level, question.implicit);
  const names = question.level === "verified" ? [question.host] : null;
  const name = question.implicit && (question.level === "off" || question.level === "opportunistic");
  const level = name ? "encrypted, as smtps is" : question.level;
  const rule = `${level} (${question.reason})`;
  return { kind: "require", requirement: { mode, names, requireTls: false, rule } };
}

/**
 * RFC 8689 §4.2.1: the way to the next hop's name and the hop itself must be authenticated, and it must promise the same; else
 * the message fails, it is never sent with less.
 */
function requireTls(question: TlsQuestion): TlsDecision {
  if (question.level === "off" || !question.secureName) {
    const why = question.level === "off" ? `${question.reason} forbids TLS` : `the name ${question.host} is not proven`;
    const text = `the message demands REQUIRETLS, and ${why}`;
    return { kind: "failed", problem: { text, reply: null, status: "5.7.30" } };
  }
  const mode = question.implicit ? "implicit" : "required";
  const rule = `verified (REQUIRETLS of the message, ${question.reason})`;
  return { kind: "require", requirement: { mode, names: [question.host], requireTls: true, rule } };
}

function modeOf(level: Exclude<TlsLevel, "dane">, implicit: boolean): ClientTls["kind"] {
  if (implicit) return "implicit";
  const modes = { off: "none", opportunistic: "opportunistic", encrypted: "required", verified: "required" } as const;
  return modes[level];
}

/** The same connection in clear text, after a handshake that failed where nothing demanded TLS. */
export function withoutTls(requirement: TlsRequirement): TlsRequirement {
  const rule = `clear text after a failed handshake, as the setting allows; ${requirement.rule}`;
  return { mode: "none", names: null, requireTls: false, rule };
}
