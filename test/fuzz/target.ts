/** What is thrown at with octets of every kind. The input is octets alone, so that a file of the corpus is a whole case. */
export interface Target {
  readonly name: string;
  /** Words of its language, one octet a character, of which inputs are put together before they are damaged. */
  readonly words: readonly string[];
  /** What goes well: most inputs begin with one of these, or have one among their words. */
  readonly openings?: readonly string[];
  /** Throws where an invariant does not hold. How the octets are cut and what else varies follows from the octets. */
  check(octets: Uint8Array): void | Promise<void>;
}

/** One octet a character. */
export function octetsOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

/** Octets as a text of one character each, for the references, which work on texts and regular expressions. */
export function latin1(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1");
}
