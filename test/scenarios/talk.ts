import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

const PATIENCE = 10_000;

/** A client certificate with its chain, and its key, PEM. */
interface ShownPair {
  readonly certificate: string;
  readonly privateKey: string;
}

function certificateOptions(shown: ShownPair | undefined) {
  return shown === undefined ? {} : { cert: shown.certificate, key: shown.privateKey };
}

/** A person at a terminal: says a line, waits for the whole reply. */
export class Talk {
  #socket: Socket;
  #text = "";
  #closed = false;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen();
  }

  /** Connects and waits for the greeting, which `replies` begins with. `from` is an address of this machine, 127.0.0.1 by default. */
  static async open(port: number, from = "127.0.0.1"): Promise<Talk> {
    const talk = new Talk(createConnection({ host: "127.0.0.1", port, localAddress: from, noDelay: true }));
    await talk.reply();
    return talk;
  }

  /** The same inside TLS from the first octet; the certificate is not checked. */
  static async openSecure(port: number, from = "127.0.0.1", shown?: ShownPair): Promise<Talk> {
    const socket = createConnection({ host: "127.0.0.1", port, localAddress: from, noDelay: true });
    const talk = new Talk(connectTls({ socket, rejectUnauthorized: false, ...certificateOptions(shown) }));
    await talk.reply();
    return talk;
  }

  /** Sends the line and gives the reply: its last line's text, code first; `null` when the connection ended instead. */
  async say(line: string): Promise<string | null> {
    this.send(`${line}\r\n`);
    return await this.reply();
  }

  send(octets: string): void {
    this.#socket.write(octets, "latin1");
  }

  /** The next reply, all its lines joined by newlines; null at the end of the connection. */
  async reply(): Promise<string | null> {
    const until = Date.now() + PATIENCE;
    for (;;) {
      const whole = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(this.#text);
      if (whole !== null) {
        this.#text = this.#text.slice(whole[0].length);
        return whole[0].trimEnd().replaceAll("\r\n", "\n");
      }
      if (this.#closed) return null;
      if (Date.now() > until) throw new Error(`no reply; have ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** STARTTLS and the handshake; `serverName` is sent by SNI, `shown` where the server asks for a certificate. */
  async secure(serverName?: string, shown?: ShownPair): Promise<TLSSocket> {
    const go = await this.say("STARTTLS");
    if (go?.startsWith("220") !== true) throw new Error(`STARTTLS: ${go}`);
    this.#socket.removeAllListeners();
    const secured = connectTls({
      socket: this.#socket,
      rejectUnauthorized: false,
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...certificateOptions(shown),
    });
    await once(secured, "secureConnect", { signal: AbortSignal.timeout(PATIENCE) });
    this.#socket = secured;
    this.#listen();
    return secured;
  }

  close(): void {
    this.#socket.destroy();
  }

  #listen(): void {
    this.#socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      this.#wake?.();
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.#closed = true;
      this.#wake?.();
    });
  }
}
