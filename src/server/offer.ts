import type { Extensions } from "../smtp/index.ts";
import { xclientOffer } from "./introduction.ts";
import type { Offer } from "./policy.ts";
import type { SessionSettings } from "./state.ts";

/** An engine extension: its parameters, or null where this session does not offer it. */
type OfferedAs = (settings: SessionSettings, offer: Offer) => readonly string[] | null;

/** What the engine does by itself, in the order of the EHLO lines. An extension is offered by a row here and no other way. */
const engine: readonly (readonly [keyword: string, offered: OfferedAs])[] = [
  ["PIPELINING", () => []],
  ["SIZE", (_, offer) => [String(offer.messageSize)]],
  ["8BITMIME", () => []],
  ["SMTPUTF8", () => []],
  ["CHUNKING", () => []],
  ["BINARYMIME", () => []],
  ["ENHANCEDSTATUSCODES", () => []],
  ["LIMITS", limits],
  ["XCLIENT", xclientOffer],
  // Never again inside TLS (RFC 3207 §4.2).
  ["STARTTLS", (settings) => (settings.startTls === "offered" && !settings.secure ? [] : null)],
  // Never in clear text, whatever the policy says.
  ["AUTH", (settings, offer) => (settings.secure && offer.mechanisms.length > 0 ? offer.mechanisms : null)],
];

/** What a policy may offer within TLS alone: REQUIRETLS by RFC 8689 §2 (4). */
const withinTls: ReadonlySet<string> = new Set(["REQUIRETLS"]);

/** RFC 9422: what a client may do before it is told 421 (MAIL) or 452 (RCPT). */
function limits(settings: SessionSettings, { recipients, transactions: own }: Offer): readonly string[] {
  const transactions = own ?? settings.limits.transactions;
  const mailMax = Number.isFinite(transactions) ? [`MAILMAX=${transactions}`] : [];
  return [...mailMax, `RCPTMAX=${recipients}`];
}

/** The EHLO keywords of a session: the engine's, then the policy's own. */
export function extensionsFor(settings: SessionSettings, offer: Offer): Extensions {
  const extensions = new Map<string, readonly string[]>();
  for (const [keyword, offered] of engine) {
    const parameters = offered(settings, offer);
    if (parameters !== null) extensions.set(keyword, parameters);
  }
  for (const [keyword, ...parameters] of offer.extensions) {
    const upper = keyword.toUpperCase();
    if (engine.some(([known]) => known === upper) || (withinTls.has(upper) && !settings.secure)) continue;
    extensions.set(upper, parameters);
  }
  return extensions;
}

/** How many sets of keywords are kept: what one service offers in clear text and inside TLS differs, and services differ. */
const KEPT = 16;
const kept: ReadonlySet<string>[] = [];

/** The keywords alone. Sessions that are offered the same share one set, so that many idle ones do not weigh as many sets. */
export function sharedKeywords(extensions: Extensions): ReadonlySet<string> {
  const known = kept.find((set) => set.size === extensions.size && hasAll(set, extensions));
  if (known !== undefined) return known;
  const keywords = new Set(extensions.keys());
  if (kept.length < KEPT) kept.push(keywords);
  return keywords;
}

function hasAll(keywords: ReadonlySet<string>, extensions: Extensions): boolean {
  for (const keyword of extensions.keys()) if (!keywords.has(keyword)) return false;
  return true;
}
