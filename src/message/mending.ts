import { decodeUtf8Lenient, err, type Instant, ok, type Result } from "../base/index.ts";
import { formatMailbox, type Mailbox, needsSmtpUtf8, type ReversePath } from "../smtp/index.ts";
import { type AddressFault, completeAddresses } from "./address-fields.ts";
import { formatDate, formatField } from "./field.ts";
import type { HeaderField } from "./header.ts";
import { hasLongLine, type SyntaxFault, syntaxFault } from "./header-syntax.ts";
import { signedFields } from "./signed-fields.ts";

/** Who writes, and what is put in where something is missing. */
export interface Mending {
  readonly reversePath: ReversePath;
  /** The client asked for SMTPUTF8, so the header section may hold UTF-8 (RFC 6532 §3). */
  readonly smtputf8: boolean;
  /** The address that stands for the user; null where there is none to write. */
  readonly own: Mailbox | null;
  /**
   * What becomes of a From or Sender that the user may not use: `enforce` refuses it, `correct` says in Sender who sent it (RFC 6409
   * §8.1), `any` lets it stand.
   */
  readonly sender: "enforce" | "correct" | "any";
  mayUse(mailbox: Mailbox): boolean;
  /** The mailbox that a bare local part means; null where nobody knows of one (RFC 6409 §8). */
  qualify(localPart: string): Mailbox | null;
  /** For a missing Date. */
  readonly at: Instant;
  /** For a missing Message-ID, without its angle brackets. */
  readonly messageId: string;
}

/** Why a message cannot be sent as it is. `field` is a field's name in lower case. */
export type Unmendable =
  | SyntaxFault
  | AddressFault
  /** A From without an address, or a Sender without the one that it must have (RFC 5322 §3.6.2). */
  | { readonly kind: "noAddress"; readonly field: "from" | "sender" }
  | { readonly kind: "notYours"; readonly field: "from" | "sender"; readonly mailbox: Mailbox }
  /** It would have to be changed, and a signature covers it. */
  | { readonly kind: "signed"; readonly field: string };

/** RFC 5322 §3.6.3: who is named here is told to nobody else; the envelope has them. */
const BLIND: ReadonlySet<string> = new Set(["bcc", "resent-bcc"]);

/** Fields of addresses that stand as they are where they cannot be read: nothing here is decided by them. */
const LENIENT: ReadonlySet<string> = new Set([
  ...["reply-to", "to", "cc"],
  ...["resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc"],
]);

/** RFC 5322 §3.6.4 msg-id; comments around it may stand. */
const MESSAGE_ID = /^[^<>]*<(?:"(?:[^"\\]|\\.)*"|[^<>\s"]+)@[^<>\s]+>[^<>]*$/s;

/**
 * What an MSA does to a header section (RFC 6409 §8). Gives the octets of its fields: added ones in front, all others in their order;
 * a field that needs nothing is the very octets that came. Adds a missing Date, From, Sender and Message-ID, completes bare
 * addresses, takes out Bcc.
 *
 * Nothing that a DKIM signature of the message covers is changed, or added where its absence is signed. What would have to be is a reason
 * to refuse the message, for it would arrive with a signature that is broken; only a Message-ID is not worth that.
 */
export function mendHeader(
  fields: readonly HeaderField[],
  mending: Mending,
): Result<readonly Uint8Array[], Unmendable> {
  const fault = syntaxFault(fields, mending.smtputf8);
  if (fault !== null) return err(fault);
  const mender = new HeaderMender(fields, mending);
  const unmendable = mender.mend();
  return unmendable === null ? ok(mender.octets()) : err(unmendable);
}

/** A field as it will leave; `octets` is empty where it is taken out. */
interface KeptField extends HeaderField {
  octets: Uint8Array;
}

class HeaderMender {
  readonly #mending: Mending;
  readonly #signed: ReadonlySet<string>;
  readonly #fields: readonly KeptField[];
  readonly #added: Uint8Array[] = [];
  #authors: readonly Mailbox[] = [];
  #sender: Mailbox | null = null;

  constructor(fields: readonly HeaderField[], mending: Mending) {
    this.#mending = mending;
    this.#signed = signedFields(fields);
    this.#fields = fields.map(({ name, octets, valueAt }) => ({ name, octets, valueAt }));
  }

  octets(): readonly Uint8Array[] {
    return [...this.#added, ...this.#fields.map(({ octets }) => octets)].filter(({ length }) => length > 0);
  }

  mend(): Unmendable | null {
    for (const field of this.#fields) {
      const fault = this.#mendField(field);
      if (fault !== null) return fault;
    }
    return this.#mendDate() ?? this.#mendFrom() ?? this.#mendSender() ?? this.#mendMessageId();
  }

  #mendField(field: KeptField): Unmendable | null {
    const { name } = field;
    if (BLIND.has(name)) return this.#change(field, new Uint8Array(0));
    if (name === "from" || name === "sender") return this.#mendAuthor(field, name);
    if (!LENIENT.has(name)) return null;
    const completed = completeAddresses(field, this.#mending.qualify);
    if (completed.ok) return this.#change(field, completed.value.octets);
    return completed.error.kind === "badAddress" ? null : completed.error;
  }

  #mendAuthor(field: KeptField, name: "from" | "sender"): Unmendable | null {
    const completed = completeAddresses(field, this.#mending.qualify);
    if (!completed.ok) return completed.error;
    const { mailboxes, octets } = completed.value;
    const [first, second] = mailboxes;
    if (first === undefined || (name === "sender" && second !== undefined)) return { kind: "noAddress", field: name };
    if (name === "from") this.#authors = mailboxes;
    else this.#sender = first;
    return this.#change(field, octets);
  }

  #mendDate(): Unmendable | null {
    const written = this.#find("date");
    if (written !== undefined && writtenValue(written) !== "") return null;
    return this.#put("date", formatField("Date", [[formatDate(this.#mending.at)]]));
  }

  #mendFrom(): Unmendable | null {
    const { reversePath } = this.#mending;
    if (this.#find("from") !== undefined) return null;
    // A report of a client (RFC 8098) has the null reverse-path, and an author all the same.
    const author = reversePath ?? this.#writable(this.#mending.own);
    if (author === null) return { kind: "noAddress", field: "from" };
    this.#authors = [author];
    return this.#put("from", addressField("From", author));
  }

  /** RFC 5322 §3.6.2: of several authors one sends, and where none of them does, Sender tells who. */
  #mendSender(): Unmendable | null {
    const { sender: rule, mayUse } = this.#mending;
    const foreign = rule === "any" ? undefined : this.#authors.find((author) => !mayUse(author));
    const sender = this.#sender;
    const forged = sender !== null && rule !== "any" && !mayUse(sender);
    if (rule === "enforce") {
      if (foreign !== undefined) return { kind: "notYours", field: "from", mailbox: foreign };
      if (forged) return { kind: "notYours", field: "sender", mailbox: sender };
    }
    const missing = sender === null && (foreign !== undefined || this.#authors.length > 1);
    if (!missing && !forged) return null;
    const self = this.#self();
    if (self !== null) return this.#put("sender", addressField("Sender", self));
    if (foreign !== undefined) return { kind: "notYours", field: "from", mailbox: foreign };
    return forged ? { kind: "notYours", field: "sender", mailbox: sender } : { kind: "noAddress", field: "sender" };
  }

  #mendMessageId(): Unmendable | null {
    const written = this.#find("message-id");
    if ((written !== undefined && MESSAGE_ID.test(writtenValue(written))) || this.#signed.has("message-id"))
      return null;
    return this.#put("message-id", formatField("Message-ID", [[`<${this.#mending.messageId}>`]]));
  }

  /** The address under which the user sends this message. */
  #self(): Mailbox | null {
    const { reversePath, own, mayUse, sender } = this.#mending;
    if (reversePath !== null && (sender === "any" || mayUse(reversePath))) return reversePath;
    return this.#writable(own);
  }

  #writable(mailbox: Mailbox | null): Mailbox | null {
    return mailbox !== null && needsSmtpUtf8(mailbox) && !this.#mending.smtputf8 ? null : mailbox;
  }

  #find(name: string): KeptField | undefined {
    return this.#fields.find((field) => field.name === name);
  }

  /** In place of the field of this name, or in front of all where there is none. */
  #put(name: string, octets: Uint8Array): Unmendable | null {
    const written = this.#find(name);
    if (written !== undefined) return this.#change(written, octets);
    if (this.#signed.has(name)) return { kind: "signed", field: name };
    this.#added.push(octets);
    return null;
  }

  #change(field: KeptField, octets: Uint8Array): Unmendable | null {
    if (octets === field.octets) return null;
    if (this.#signed.has(field.name)) return { kind: "signed", field: field.name };
    if (hasLongLine(octets)) return { kind: "longLine", field: field.name };
    field.octets = octets;
    return null;
  }
}

function addressField(name: string, mailbox: Mailbox): Uint8Array {
  return formatField(name, [[formatMailbox(mailbox)]]);
}

/** Unfolded, without white space around it. */
function writtenValue({ octets, valueAt }: HeaderField): string {
  return decodeUtf8Lenient(octets.subarray(valueAt)).replace(/\r\n/g, "").trim();
}
