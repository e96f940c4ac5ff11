import { encodeUtf8, type Timer } from "../../base/index.ts";
import type { StreamHandler } from "../../net/index.ts";
import type { HostMove, HostStage, SimulatedHost } from "./host.ts";
import { ehloLines } from "./host-offers.ts";
import { lackingProtection, lackingRequireTls } from "./host-protection.ts";
import type { Take } from "./ledger.ts";
import type { ClearLinkStream, LinkStream } from "./link-stream.ts";
import { latin1 } from "./read-message.ts";
import { type SimulatedCertificate, simulatedServerUpgrade } from "./tls.ts";

const HANDSHAKE_TIMEOUT = 30_000;
/** Longer than anything is on its way, milliseconds. */
const CROSSING = 10_000;
const MOST_OCTETS = 1_000_000;

/** One session, in clear text or inside TLS. */
export class HostConversation implements StreamHandler {
  readonly #host: SimulatedHost;
  readonly #stream: LinkStream;
  /** What this server showed, null in clear text. */
  readonly #shown: SimulatedCertificate | null;
  #input = "";
  #mode: "commands" | "data" | "chunk" | "over" = "commands";
  #busy = false;
  #peerEnded = false;
  #greeted = false;
  #transactions = 0;
  /** Messages taken, as `Take.hop`. */
  readonly #messages = new Set<string>();
  #reversePath: string | null = null;
  #open = false;
  #eightBit = false;
  #recipients: string[] = [];
  #chunk = { octets: 0, last: false, refused: false };
  #requireTls = false;
  #body = "";
  #idle: Timer | null = null;
  #chattedAt = Number.NEGATIVE_INFINITY;

  constructor(host: SimulatedHost, stream: LinkStream, shown: SimulatedCertificate | null) {
    this.#host = host;
    this.#stream = stream;
    this.#shown = shown;
  }

  start(stage: "connect" | "secured"): void {
    this.#stream.attach(this);
    if (stage === "connect") this.#at("connect", "", () => this.#say(`220 ${this.#host.options.name} ESMTP`));
  }

  data(bytes: Uint8Array): void {
    this.#idle?.cancel();
    // Whoever spoke just then cannot know that the reply was none to that.
    if (this.#host.loop.now - this.#chattedAt < CROSSING) this.#close();
    if (this.#mode === "over") return;
    this.#input += latin1(bytes);
    this.#read();
  }

  drained(): void {}

  ended(): void {
    this.#peerEnded = true;
    if (!this.#busy) this.#close();
  }

  closed(): void {
    this.#idle?.cancel();
    this.#mode = "over";
  }

  #read(): void {
    while (!this.#busy && this.#mode !== "over") {
      const moved =
        this.#mode === "commands" ? this.#readCommand() : this.#mode === "data" ? this.#readData() : this.#readChunk();
      if (!moved) break;
    }
    if (!this.#busy && this.#peerEnded) this.#close();
    if (this.#input.length > MOST_OCTETS) this.#close();
  }

  #readCommand(): boolean {
    const end = this.#input.indexOf("\r\n");
    if (end === -1) return false;
    const line = this.#input.slice(0, end);
    this.#input = this.#input.slice(end + 2);
    if (this.#input !== "" && !this.#host.options.offers.pipelining && !/^BDAT/i.test(line)) {
      this.#breach("peers get what they offer", `pipelined behind ${line}`);
    }
    this.#command(line);
    return true;
  }

  #command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    switch (verb) {
      case "EHLO":
      case "LHLO":
      case "HELO":
        this.#at("hello", line, () => this.#hello(verb));
        return;
      case "STAR":
        this.#at("starttls", line, () => this.#startTls());
        return;
      case "MAIL":
        this.#at("mail", line, () => this.#mail(line));
        return;
      case "RCPT":
        this.#at("rcpt", line, () => this.#rcpt(line));
        return;
      case "DATA":
        this.#at("data", line, () => this.#data());
        return;
      case "BDAT":
        this.#bdat(line);
        return;
      case "RSET":
        this.#reset();
        this.#say("250 2.0.0 Ok");
        return;
      case "NOOP":
        this.#say("250 2.0.0 Ok");
        return;
      case "QUIT":
        this.#host.options.burden.leaving(this.#stream.linkEnd);
        this.#at("quit", line, () => {
          this.#say("221 2.0.0 Bye");
          this.#close();
        });
        return;
      default:
        this.#breach("peers get what they offer", `sent ${JSON.stringify(line.slice(0, 60))}`);
        this.#say("500 5.5.2 What?");
    }
  }

  #hello(verb: string): void {
    const { name } = this.#host.options;
    this.#greeted = true;
    this.#reset();
    if (verb === "HELO") {
      this.#say(`250 ${name}`);
      return;
    }
    const lines = ehloLines(this.#host.options, this.#shown !== null);
    this.#say(lines.map((line, at) => `250${at === lines.length - 1 ? " " : "-"}${line}`).join("\r\n"));
  }

  #startTls(): void {
    const { tls } = this.#host.options;
    const stream = this.#stream;
    if (tls === null || this.#shown !== null || !isClear(stream)) {
      this.#say("503 5.5.1 No");
      return;
    }
    if (this.#input !== "") {
      this.#breach("peers get what they offer", "pipelined behind STARTTLS");
      return;
    }
    this.#say("220 2.0.0 Go ahead");
    this.#mode = "over";
    const shown = tls.certificate();
    const upgrade = simulatedServerUpgrade({ certificate: () => shown, manner: tls.manner }, HANDSHAKE_TIMEOUT);
    void upgrade(stream).then((secured) => {
      if (secured.ok) new HostConversation(this.#host, secured.value, shown).start("secured");
    });
  }

  #mail(line: string): void {
    const path = /^MAIL FROM:<([^>]*)>(.*)$/i.exec(line);
    if (path === null || !this.#greeted || this.#open) {
      this.#say("503 5.5.1 Bad sequence");
      return;
    }
    const { mailMax, requireTls } = this.#host.options.offers;
    this.#transactions++;
    this.#host.options.burden.begun(this.#stream.linkEnd);
    if (mailMax !== null && this.#transactions > mailMax) {
      this.#breach("limits of peers are kept", `${this.#transactions} transactions where MAILMAX is ${mailMax}`);
    }
    if (/ REQUIRETLS/i.test(line) && (this.#shown === null || !requireTls)) {
      this.#forbidden("REQUIRETLS was said to a host that does not offer it");
    }
    this.#reset();
    this.#open = true;
    this.#reversePath = path[1] === "" ? null : (path[1] ?? null);
    this.#requireTls = / REQUIRETLS/i.test(line);
    this.#eightBit = /BODY=8BITMIME/i.test(path[2] ?? "");
    this.#say("250 2.1.0 Ok");
  }

  #rcpt(line: string): void {
    const mailbox = /^RCPT TO:<([^>]*)>/i.exec(line)?.[1];
    if (mailbox === undefined || !this.#open) {
      this.#say("503 5.5.1 Bad sequence");
      return;
    }
    this.#forbidden(lackingProtection(this.#host.options, { shown: this.#shown, by: this.#stream.linkEnd }, mailbox));
    const { rcptMax } = this.#host.options.offers;
    if (rcptMax !== null && this.#recipients.length >= rcptMax) {
      this.#breach("limits of peers are kept", `more recipients than RCPTMAX=${rcptMax}`);
      this.#say("452 4.5.3 Too many");
      return;
    }
    if (mailbox.startsWith("nobody")) {
      this.#say("550 5.1.1 Nobody of that name");
      return;
    }
    this.#recipients.push(mailbox);
    this.#say("250 2.1.5 Ok");
  }

  #data(): void {
    if (this.#recipients.length === 0) {
      this.#say("554 5.5.1 No valid recipients");
      return;
    }
    this.#mode = "data";
    this.#say("354 Go on");
  }

  #readData(): boolean {
    // The CRLF of the DATA command is the first half of the end mark (RFC 5321 §4.1.1.4).
    const empty = this.#input.startsWith(".\r\n");
    const end = empty ? -2 : this.#input.indexOf("\r\n.\r\n");
    if (end === -1) return false;
    const text = empty ? "" : this.#input.slice(0, end + 2);
    this.#input = this.#input.slice(end + 5);
    this.#mode = "commands";
    this.#finish(text.replaceAll(/(^|\r\n)\./g, "$1"));
    return true;
  }

  #bdat(line: string): void {
    const parts = /^BDAT (\d+)( LAST)?$/i.exec(line);
    if (parts === null || !this.#host.options.offers.chunking) {
      this.#breach("peers get what they offer", line);
      this.#close();
      return;
    }
    const refused = this.#recipients.length === 0;
    this.#chunk = { octets: Number(parts[1]), last: parts[2] !== undefined, refused };
    this.#mode = "chunk";
  }

  #readChunk(): boolean {
    const { octets, last, refused } = this.#chunk;
    if (this.#input.length < octets) return false;
    const text = this.#input.slice(0, octets);
    this.#input = this.#input.slice(octets);
    this.#mode = "commands";
    if (refused) {
      this.#reset();
      this.#say("503 5.5.1 No valid recipients");
      return true;
    }
    this.#body += text;
    if (last) this.#finish(this.#body);
    else this.#say("250 2.0.0 Chunk taken");
    return true;
  }

  #finish(text: string): void {
    if (!this.#eightBit && /[\x80-\xff]/.test(text)) this.#breach("peers get what they offer", "8-bit text undeclared");
    const octets = new Uint8Array(Buffer.from(text, "latin1"));
    if (!this.#requireTls) this.#forbidden(lackingRequireTls(this.#host.options, octets));
    const recipients = this.#recipients;
    const reversePath = this.#reversePath;
    this.#reset();
    if (this.#host.options.protocol === "lmtp") {
      this.#finishEach(recipients, reversePath, octets);
      return;
    }
    const { name } = this.#host.options;
    const end = this.#stream.linkEnd;
    this.#taking("end", "", () =>
      recipients.map((recipient) => this.#host.ledger.arrived(name, { reversePath, recipient, octets, end })),
    );
  }

  /** RFC 2033 §4.2: a reply for each. */
  #finishEach(recipients: readonly string[], reversePath: string | null, octets: Uint8Array): void {
    const [recipient, ...rest] = recipients;
    if (recipient === undefined) return;
    const { name } = this.#host.options;
    const end = this.#stream.linkEnd;
    const take = () => [this.#host.ledger.arrived(name, { reversePath, recipient, octets, end })];
    this.#taking("end", recipient, take, () => this.#finishEach(rest, reversePath, octets));
  }

  /** Takes mail, then thinks, then says so: what happens between is for others to find out. */
  #taking(stage: HostStage, argument: string, take: () => readonly Take[], then: () => void = () => {}): void {
    const move = this.#host.options.move(stage, argument);
    const takes = move.kind === "proceed" ? take() : [];
    for (const { hop } of takes) this.#messages.add(hop);
    this.#host.options.burden.took(this.#stream.linkEnd, this.#messages.size);
    this.#perform(
      move,
      () => {
        const { linkEnd } = this.#stream;
        const before = linkEnd.written;
        this.#say("250 2.0.0 Taken");
        // Nothing is written to who is gone.
        for (const each of takes) each.reply = linkEnd.written > before ? linkEnd.written : null;
        then();
        this.#waitForMore();
      },
      then,
    );
  }

  /** Does what is expected, after the time it takes, or what this host does instead. */
  #at(stage: HostStage, argument: string, expected: () => void): void {
    this.#perform(this.#host.options.move(stage, argument), expected, () => {
      if (stage === "connect") this.#greeted = false;
    });
  }

  #perform(move: HostMove, expected: () => void, otherwise: () => void): void {
    switch (move.kind) {
      case "close":
        this.#close();
        return;
      case "hang":
        // Deaf from here on; the peer has to find out.
        this.#busy = true;
        return;
      case "reply":
        this.#after(move.delay, () => {
          this.#say(move.text);
          otherwise();
          if (move.text.startsWith("421")) this.#close();
        });
        return;
      case "proceed":
        this.#after(move.delay, expected);
        return;
    }
  }

  #after(delay: number, action: () => void): void {
    if (delay === 0) {
      action();
      return;
    }
    this.#busy = true;
    this.#host.loop.after(delay, () => {
      this.#busy = false;
      if (this.#mode === "over" && !this.#peerEnded) return;
      action();
      this.#read();
    });
  }

  #say(text: string): void {
    this.#stream.write(encodeUtf8(`${text}\r\n`));
  }

  /** RFC 5321 §3.8: who says nothing is told goodbye, and may have begun to speak just then. */
  #waitForMore(): void {
    const { loop, options, life } = this.#host;
    this.#idle?.cancel();
    this.#idle = loop.after(options.patience, () => {
      if (!life.alive || this.#busy || this.#open || this.#mode !== "commands") return;
      if (options.chatty) {
        this.#say("250 2.0.0 Still here");
        this.#chattedAt = loop.now;
      } else {
        this.#say("421 4.4.2 Idle for too long");
        this.#close();
      }
    });
  }

  #close(): void {
    this.#idle?.cancel();
    this.#mode = "over";
    this.#stream.destroy();
  }

  #reset(): void {
    this.#open = false;
    this.#reversePath = null;
    this.#recipients = [];
    this.#body = "";
  }

  #forbidden(text: string | null): void {
    if (text !== null) this.#breach("no clear text where it is forbidden", text);
  }

  #breach(invariant: string, text: string): void {
    this.#host.ledger.breach(invariant, `${this.#host.options.name} from ${this.#stream.peer.address}: ${text}`);
  }
}

function isClear(stream: LinkStream): stream is ClearLinkStream {
  return stream.tls === null;
}
