import { err, ok, printable, type Result } from "../base/index.ts";
import { type Mailbox, parseMailbox } from "../smtp/index.ts";

/** Where a domain wants its reports. `uri` as it stands in the record, made safe to print; it names the destination. */
export type ReportDestination =
  | { readonly kind: "mail"; readonly uri: string; readonly mailbox: Mailbox }
  | { readonly kind: "https"; readonly uri: string; readonly url: URL };

export interface TlsReportRecord {
  /** At least one. */
  readonly destinations: readonly ReportDestination[];
  /** Why others of the list are left out. */
  readonly skipped: readonly string[];
}

/** Destinations of one record that are used: the reports of a day should not become a flood (RFC 8460 §7). */
const MAX_DESTINATIONS = 4;
const MAX_URI = 1000;

/**
 * Reads the TXT records at `_smtp._tls.DOMAIN` (RFC 8460 §3). Null where the domain wants no reports: no record, or several. A
 * failure is a record that asks for reports and cannot be used.
 */
export function parseTlsReportRecords(records: readonly string[]): Result<TlsReportRecord | null, string> {
  const [record, ...more] = records.filter((text) => /^v=TLSRPTv1[ \t]*;/.test(text));
  if (record === undefined || more.length > 0) return ok(null);
  const fields = record
    .split(";")
    .slice(1)
    .map((field) => field.trim());
  if (fields.at(-1) === "") fields.pop();
  const uris: string[] = [];
  for (const field of fields) {
    const [, name, value] = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=(.+)$/s.exec(field) ?? [];
    if (name === undefined || value === undefined) return err(`"${printable(field, 80)}" is no name=value`);
    // RFC 8460 §3: unknown fields are ignored.
    if (name === "rua") uris.push(...value.split(",").map((uri) => uri.trim()));
  }
  if (uris.length === 0) return err("it names no rua");
  return readUris([...new Set(uris)]);
}

function readUris(uris: readonly string[]): Result<TlsReportRecord, string> {
  const destinations: ReportDestination[] = [];
  const skipped: string[] = [];
  for (const uri of uris) {
    const read = parseDestination(uri);
    if (!read.ok) skipped.push(read.error);
    else if (destinations.length < MAX_DESTINATIONS) destinations.push(read.value);
    else skipped.push(`${read.value.uri} is one too many`);
  }
  return destinations.length === 0 ? err(`no rua can be used: ${skipped.join("; ")}`) : ok({ destinations, skipped });
}

function parseDestination(text: string): Result<ReportDestination, string> {
  const uri = printable(text, 200);
  // Printable ASCII; an exclamation mark has to be encoded (RFC 8460 §3).
  if (text.length > MAX_URI || !/^[\x22-\x7e]+$/.test(text)) return err(`${uri} is no URI`);
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === "mailto") return parseMailto(text.slice("mailto:".length), uri);
  if (scheme === "https") return parseHttps(text, uri);
  return err(`${uri} is neither mailto nor https`);
}

/** RFC 6068 §2, with one address; header fields behind a `?` are not ours to write into a report. */
function parseMailto(rest: string, uri: string): Result<ReportDestination, string> {
  const address = decoded(rest.replace(/\?.*$/s, ""));
  const mailbox = address === null ? null : parseMailbox(address);
  if (mailbox === null || !mailbox.ok) return err(`${uri} holds no address`);
  return ok({ kind: "mail", uri, mailbox: mailbox.value });
}

function parseHttps(text: string, uri: string): Result<ReportDestination, string> {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.hostname === "") return err(`${uri} is no URI`);
  // A name can be proven by a certificate, and its addresses be looked at; a password is nothing to publish.
  if (/^\[|^[0-9.]+$/.test(url.hostname)) return err(`${uri} names no host`);
  if (url.username !== "" || url.password !== "") return err(`${uri} holds a login`);
  return ok({ kind: "https", uri, url });
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
