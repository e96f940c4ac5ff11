const METHODS: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "PATCH",
  "PRI", // the preface of HTTP/2, RFC 9113 §3.4
]);

/** Fields that a browser or a proxy sends near the top, and that no mail header section or SMTP client begins a line with. */
const FIELDS: ReadonlySet<string> = new Set([
  "HOST:",
  "USER-AGENT:",
  "ACCEPT:",
  "ACCEPT-ENCODING:",
  "ACCEPT-LANGUAGE:",
  "CONTENT-LENGTH:",
  "CONNECTION:",
  "COOKIE:",
  "ORIGIN:",
  "REFERER:",
  "TRANSFER-ENCODING:",
  "UPGRADE:",
]);

/**
 * True for the first word of an HTTP request line or header field, upper-cased. A browser can be made to send an HTTP request with SMTP
 * commands in its body to a mail port, so that the first such line has to end the connection.
 */
export function isHttpWord(word: string): boolean {
  return METHODS.has(word) || FIELDS.has(word);
}
