import type { Reply } from "./reply.ts";

/** EHLO keywords (upper case) with their parameters in order (RFC 5321 §4.1.1.1). A `Map`: the keys are a peer's text. */
export type Extensions = ReadonlyMap<string, readonly string[]>;

const KEYWORD = /^[A-Za-z0-9][A-Za-z0-9-]*$/;
const PARAMETER = /^[\u0021-\u007e]+$/;

/** The form in which servers announced AUTH before RFC 2554 and some still do beside the right one. */
const OLD_AUTH = /^AUTH=/i;

/**
 * Reads the reply to EHLO; lines that are no ehlo-line are passed over. The first line names the server and announces nothing. A keyword
 * that comes twice counts once, but mechanisms of AUTH, in the right and in the old form `AUTH=LOGIN`, are gathered.
 */
export function readExtensions(ehloReply: Reply): Extensions {
  const extensions = new Map<string, readonly string[]>();
  for (const line of ehloReply.lines.slice(1)) {
    const [word = "", ...parameters] = line
      .replace(OLD_AUTH, "AUTH ")
      .split(" ")
      .filter((part) => part !== "");
    if (!KEYWORD.test(word) || !parameters.every((parameter) => PARAMETER.test(parameter))) continue;
    const keyword = word.toUpperCase();
    const known = extensions.get(keyword);
    if (known === undefined) extensions.set(keyword, parameters);
    else if (keyword === "AUTH") extensions.set(keyword, [...new Set([...known, ...parameters])]);
  }
  return extensions;
}

/** The lines that announce `extensions`, in order. */
export function formatExtensions(extensions: Extensions): readonly string[] {
  return [...extensions].map(([keyword, parameters]) => [keyword, ...parameters].join(" "));
}

/** The announced maximum (RFC 1870 §4): octets, or null where none is announced or fixed (0). */
export function announcedSize(extensions: Extensions): number | null {
  const written = extensions.get("SIZE")?.[0];
  if (written === undefined || !/^[0-9]{1,20}$/.test(written)) return null;
  const size = Number(written);
  return size === 0 ? null : size;
}

/** What a server says one session may do (RFC 9422); null where it says nothing of it. */
export interface AnnouncedLimits {
  /** MAIL commands of one session. */
  readonly mailMax: number | null;
  /** Recipients of one transaction. */
  readonly rcptMax: number | null;
  /** Different domains of the recipients of one transaction. */
  readonly rcptDomainMax: number | null;
}

/** The limits announced by LIMITS (RFC 9422); of what is not understood nothing is believed. */
export function announcedLimits(extensions: Extensions): AnnouncedLimits {
  const limits = new Map<string, number>();
  for (const limit of extensions.get("LIMITS") ?? []) {
    const [, name, value] = /^([A-Za-z0-9-]+)=([1-9][0-9]{0,5})$/.exec(limit) ?? [];
    if (name !== undefined) limits.set(name.toUpperCase(), Number(value));
  }
  return {
    mailMax: limits.get("MAILMAX") ?? null,
    rcptMax: limits.get("RCPTMAX") ?? null,
    rcptDomainMax: limits.get("RCPTDOMAINMAX") ?? null,
  };
}

/** SASL mechanisms announced, upper case; also reads the old `AUTH=LOGIN` form. */
export function announcedMechanisms(extensions: Extensions): readonly string[] {
  const mechanisms = extensions.get("AUTH") ?? [];
  return [...new Set(mechanisms.map((mechanism) => mechanism.toUpperCase()))];
}
