/** What the decoder found, in order. */
export type LineEvent =
  /** A line without its CRLF; a view that is valid until the next `push`. */
  | { readonly kind: "line"; readonly line: Uint8Array }
  /** A line longer than the limit was skipped up to its CRLF; reported once, when its end is seen. */
  | { readonly kind: "tooLong" }
  /** A bare CR or a bare LF (RFC 5321 §2.3.8); the line it stands in is skipped up to its CRLF. */
  | { readonly kind: "bareNewline" };

/**
 * Cuts octets into CRLF-ended lines, one `next` at a time, so that a caller can stop between two lines (DATA, STARTTLS) and
 * take what is left by `takeRest`. Memory is bounded by `limit` octets a line (CRLF included) plus what was pushed unread.
 */
export declare class LineDecoder {
  constructor(limit: number);
  push(bytes: Uint8Array): void;
  /** The next event, or null when more octets are needed. */
  next(): LineEvent | null;
  /** Hands over all octets not yet returned by `next` and leaves the decoder empty. */
  takeRest(): Uint8Array;
  /** Octets held. */
  readonly buffered: number;
  /** Changes the limit from the next line on (AUTH allows 12,288: RFC 4954 §4). */
  limit: number;
}
