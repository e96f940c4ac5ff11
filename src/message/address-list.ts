import { err, ok, type Result, unwrap } from "../base/index.ts";
import { formatMailbox, type Mailbox, parseAddressLiteral, parseMailbox, parseMailDomain } from "../smtp/index.ts";
import { type AddressListProblem, type AddressToken, addressTokens } from "./address-tokens.ts";

/** One address of a From, Sender, Reply-To, To or Cc field. */
export type ListedAddress =
  | {
      readonly kind: "mailbox";
      readonly mailbox: Mailbox;
      /** The display name as written, its encoded-words not decoded; null where there is none. */
      readonly name: string | null;
    }
  /** A local part alone, such as `ann` or `Ann <ann>`: no address until it has a domain, which belongs at `end`. */
  | {
      readonly kind: "bare";
      readonly localPart: string;
      readonly name: string | null;
      /** UTF-16 units from the start of the text to behind the local part. */
      readonly end: number;
    };

/**
 * Parses the value of an address field (RFC 5322 §3.4 address-list), folded or not, UTF-8 as in RFC 6532 §3.2. The members of a
 * group stand among the others; a group without members gives nothing.
 *
 * Of the obsolete syntax (§4.4) are taken: empty members, source routes, white space and comments around dots, dots in names; and a
 * habit of many programs: a group at the end without its `;`. Every mailbox is one that SMTP can carry. What two readers could
 * read as two different addresses is a problem: so are a `@` or `,` in a name without quotes, or inside an encoded-word.
 */
export function parseAddressList(text: string): Result<readonly ListedAddress[], AddressListProblem> {
  const tokens = addressTokens(text);
  return tokens.ok ? new AddressListParser(tokens.value, text.length).parse() : tokens;
}

class AddressListParser {
  readonly #tokens: readonly AddressToken[];
  readonly #length: number;
  readonly #found: ListedAddress[] = [];
  #at = 0;
  #inGroup = false;

  constructor(tokens: readonly AddressToken[], length: number) {
    this.#tokens = tokens;
    this.#length = length;
  }

  parse(): Result<readonly ListedAddress[], AddressListProblem> {
    while (this.#peek() !== null) {
      const problem = this.#member();
      if (problem !== null) return err(problem);
    }
    return ok(this.#found);
  }

  /** A comma, the beginning or end of a group, or an address. */
  #member(): AddressListProblem | null {
    if (this.#take(",")) return null;
    if (this.#inGroup && this.#take(";")) {
      this.#inGroup = false;
      return this.#separator();
    }
    const words = this.#words();
    const next = this.#peek();
    if (next?.kind === ":" && words.length > 0 && !this.#inGroup) {
      this.#at++;
      this.#inGroup = true;
      return null;
    }
    const address = next?.kind === "<" ? this.#angled(words) : this.#address(words, null);
    if (!address.ok) return address.error;
    this.#found.push(address.value);
    return this.#separator();
  }

  /** Between two addresses stands a comma: anything else would be read as one address by some and as two by others. */
  #separator(): AddressListProblem | null {
    const next = this.#peek();
    if (next === null || next.kind === "," || (next.kind === ";" && this.#inGroup)) return null;
    return { at: next.start, found: "more behind an address, and no comma" };
  }

  /** `name <address>` (RFC 5322 §3.4 name-addr). */
  #angled(words: readonly AddressToken[]): Result<ListedAddress, AddressListProblem> {
    const open = this.#at++;
    const route = this.#route();
    if (route !== null) return err(route);
    const address = this.#address(this.#words(), nameOf(words));
    if (!address.ok) return address;
    if (!this.#take(">")) return err(this.#problem("a < without its >", this.#tokens[open]));
    return address;
  }

  /** An addr-spec whose local part is `words`, or the local part alone. */
  #address(words: readonly AddressToken[], name: string | null): Result<ListedAddress, AddressListProblem> {
    const first = words[0];
    const last = words.at(-1);
    if (first === undefined || last === undefined)
      return err(this.#problem("no address where one belongs", this.#peek()));
    const localPart = dotted(words);
    if (localPart === null) return err(this.#problem("words that are no address", first));
    if (!this.#take("@")) {
      if (!isMailbox({ localPart, domain: PLACEHOLDER })) return err(this.#problem("words that are no address", first));
      return ok({ kind: "bare", localPart, name, end: last.end });
    }
    const domain = this.#domain();
    const mailbox = domain === null ? null : { localPart, domain };
    if (mailbox === null || !isMailbox(mailbox)) return err(this.#problem("an address that mail cannot go to", first));
    return ok({ kind: "mailbox", mailbox, name });
  }

  /** The domain of an addr-spec; null where none stands here. */
  #domain(): Mailbox["domain"] | null {
    const literal = this.#peek();
    if (literal?.kind === "literal") {
      this.#at++;
      const parsed = parseAddressLiteral(literal.value);
      return parsed.ok ? parsed.value : null;
    }
    const words = this.#words();
    const text = words.every(({ kind }) => kind === "atom" || kind === ".") ? dotted(words) : null;
    const parsed = text === null ? null : parseMailDomain(text);
    return parsed?.ok === true ? parsed.value : null;
  }

  /** Passes over `@a,@b:` (RFC 5322 §4.4 obs-route). */
  #route(): AddressListProblem | null {
    if (this.#peek()?.kind !== "@" && this.#peek()?.kind !== ",") return null;
    const start = this.#peek();
    while (this.#take(",") || this.#take("@")) {
      if (this.#tokens[this.#at - 1]?.kind === "@" && this.#domain() === null) {
        return this.#problem("a source route that is none", start);
      }
    }
    return this.#take(":") ? null : this.#problem("a source route that is none", start);
  }

  /** The words and dots from here on. */
  #words(): readonly AddressToken[] {
    const start = this.#at;
    for (;;) {
      const kind = this.#peek()?.kind;
      if (kind !== "atom" && kind !== "quoted" && kind !== ".") break;
      this.#at++;
    }
    return this.#tokens.slice(start, this.#at);
  }

  #peek(): AddressToken | null {
    return this.#tokens[this.#at] ?? null;
  }

  #take(kind: AddressToken["kind"]): boolean {
    if (this.#peek()?.kind !== kind) return false;
    this.#at++;
    return true;
  }

  #problem(found: string, token: AddressToken | null | undefined): AddressListProblem {
    return { at: token?.start ?? this.#length, found };
  }
}

/** Only to see whether a local part alone would be one. */
const PLACEHOLDER = unwrap(parseMailDomain("x.invalid"));

/** The text of words with a dot between each two; null where they stand otherwise. */
function dotted(words: readonly AddressToken[]): string | null {
  if (words.length % 2 === 0) return null;
  const fits = words.every(({ kind }, i) => (i % 2 === 1 ? kind === "." : kind === "atom" || kind === "quoted"));
  return fits ? words.map(({ value }) => value).join("") : null;
}

/** Whether SMTP can carry it: lengths, and no control character from inside quotes. */
function isMailbox(mailbox: Mailbox): boolean {
  return parseMailbox(formatMailbox(mailbox)).ok;
}

function nameOf(words: readonly AddressToken[]): string | null {
  if (words.length === 0) return null;
  return words
    .map(({ value, start }, i) => (i > 0 && start > (words[i - 1]?.end ?? start) ? ` ${value}` : value))
    .join("");
}
