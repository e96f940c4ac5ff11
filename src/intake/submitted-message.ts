import { CRLF, concatBytes, decodeUtf8Lenient, GatheredBytes } from "../base/index.ts";
import { HeaderScanner, type Mending, mendHeader } from "../message/index.ts";
import type { MessageSink } from "../server/index.ts";
import type { Reply } from "../smtp/index.ts";
import type { ReceiverSink } from "./receive.ts";
import { REPLIES, unmendable } from "./replies.ts";

export interface SubmittedMessageOptions {
  /** Where the message goes, mended. */
  readonly sink: ReceiverSink;
  /** Octets of a header section; it is held until its end, so that nothing is stored of a message that is refused for it. */
  readonly headerLimit: number;
  readonly mending: Mending;
}

/** `From ann Sun Nov 22 …`, and how it is quoted: what mailbox files put in front of a message (RFC 4155). */
const MBOX_LINE = /^>?From /;

/**
 * What an MSA does to a message on its way in (RFC 6409 §8): its header section is judged and put right as soon as it is whole, and
 * its body goes through as it comes, octet by octet the same.
 */
export class SubmittedMessage implements MessageSink {
  readonly #options: SubmittedMessageOptions;
  readonly #scanner: HeaderScanner;
  /** What came of the header section; null when it has been judged. */
  #held: GatheredBytes | null = new GatheredBytes();

  constructor(options: SubmittedMessageOptions) {
    this.#options = options;
    this.#scanner = new HeaderScanner(options.headerLimit);
  }

  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#held === null) return this.#options.sink.write(chunk);
    this.#held.add(chunk);
    if (this.#scanner.push(chunk) !== "open") return this.#judge(this.#held);
  }

  get copies(): boolean {
    return this.#held === null && this.#options.sink.copies === true;
  }

  async finish(): Promise<Reply | readonly Reply[]> {
    if (this.#held !== null) {
      this.#scanner.end();
      await this.#judge(this.#held);
    }
    return await this.#options.sink.finish();
  }

  abort(): void | Promise<void> {
    this.#held = null;
    return this.#options.sink.abort();
  }

  /** The octets of the header section and what came of the body behind it go on, or the message is refused. */
  #judge(held: GatheredBytes): void | Promise<void> {
    this.#held = null;
    const { sink, mending } = this.#options;
    if (this.#scanner.progress === "tooLarge") return sink.refuse(REPLIES.headerTooLarge);
    const whole = concatBytes(held.pieces());
    const fields = this.#scanner.fields();
    if (this.#scanner.broken && (fields.length > 0 || isMboxLine(whole))) return sink.refuse(REPLIES.notAField);
    const mended = mendHeader(fields, mending);
    if (!mended.ok) return sink.refuse(unmendable(mended.error));
    const body = whole.subarray(this.#scanner.size);
    // A text without any header section, as scripts send it: the empty line that belongs in front of a body is put there.
    const pieces = this.#scanner.broken ? [...mended.value, CRLF] : mended.value;
    const wait = sink.write(concatBytes(pieces));
    if (body.length === 0) return wait;
    return wait === undefined ? sink.write(body) : wait.then(() => sink.write(body));
  }
}

function isMboxLine(octets: Uint8Array): boolean {
  return MBOX_LINE.test(decodeUtf8Lenient(octets.subarray(0, ">From ".length)));
}
