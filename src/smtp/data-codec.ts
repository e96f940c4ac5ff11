/** How newlines other than CRLF in a body are treated. */
export type BareNewlines = "refuse" | "repair";

export type DataProblem = "bareNewline" | "lineTooLong" | "nul";

/**
 * Finds the end of a message body and removes stuffed dots. Starts at "line start": the CRLF of the DATA command is the first
 * half of the end marker. Only CR LF `.` CR LF ends data (RFC 5321 §4.1.1.4, §4.5.2), whatever `bareNewlines` says.
 * After a problem the decoder goes on looking for the end but gives no more octets.
 */
export declare class DataDecoder {
  constructor(options: { readonly bareNewlines: BareNewlines; readonly maxLine: number });
  /**
   * Takes octets. `body` are decoded octets (views of `bytes` where possible), `rest` what followed the end mark, null while
   * the end is not reached.
   */
  push(bytes: Uint8Array): { readonly body: readonly Uint8Array[]; readonly rest: Uint8Array | null };
  /** The first problem seen, or null. */
  readonly problem: DataProblem | null;
  /** Decoded octets so far. */
  readonly size: number;
}

/**
 * Stuffs dots and ends the body. Octets go through as they are; a bare CR or LF in a body that came by BDAT or from a file is
 * made CRLF, because no stray newline may leave (smuggling). A body that does not end in CRLF gets one before the end mark.
 */
export declare class DataEncoder {
  push(bytes: Uint8Array): readonly Uint8Array[];
  /** The end mark, with a CRLF before it where the body had none. */
  end(): Uint8Array;
}
