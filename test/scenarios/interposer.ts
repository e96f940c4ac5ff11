import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { KeyPair } from "../../src/testing/index.ts";

/** What the man in the middle does on the connections that are made from now on. */
export type Manner =
  /** All octets go on as they are. */
  | { readonly kind: "pass" }
  /** STARTTLS is taken out of the offer. */
  | { readonly kind: "strip" }
  /** The command is answered with this line, and the host behind never hears of it. */
  | { readonly kind: "refuse"; readonly verb: "EHLO" | "STARTTLS"; readonly line: string }
  /** STARTTLS is answered 220, and then nothing more is said. */
  | { readonly kind: "mute" }
  /** These octets stand behind the host's 220 in the same segment; the handshake is then let through. */
  | { readonly kind: "inject"; readonly octets: string }
  /** The ClientHello is answered with these octets, which are no TLS. */
  | { readonly kind: "garble"; readonly octets: string }
  /** TLS ends here, with a certificate of his own; what is inside he reads, and passes on in clear text. */
  | { readonly kind: "terminate"; readonly pair: KeyPair; readonly maxVersion?: "TLSv1.2" | "TLSv1.3" };

/** What he heard of a client in one connection, octet by octet. */
export interface Overheard {
  /** Everything outside TLS. */
  readonly clear: string;
  /** What TLS keeps from him: from the first octet behind the 220 to STARTTLS on. */
  readonly sealed: string;
  /** What was in TLS that ended here. */
  readonly opened: string;
}

export interface Interposer extends AsyncDisposable {
  /** May be changed at any time; what is connected stays as it is. */
  manner: Manner;
  readonly connections: readonly Overheard[];
  /** Ends all connections. */
  cut(): void;
}

export interface InterposerOptions {
  /** Where clients connect to: an address of this machine, and the port. */
  readonly address: string;
  readonly port: number;
  /** Port of the real host, on 127.0.0.1. */
  readonly behind: number;
  readonly manner: Manner;
}

/** A man in the middle, between clients and a real host on loopback. All octets are Latin-1 in strings. */
export async function startInterposer(options: InterposerOptions): Promise<Interposer> {
  const connections: Connection[] = [];
  const server: Server = createServer({ noDelay: true }, (socket) => {
    connections.push(new Connection(socket, options.behind, interposer.manner));
  });
  const interposer: Interposer = {
    manner: options.manner,
    connections,
    cut() {
      for (const connection of connections) connection.cut();
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      interposer.cut();
      await closed;
    },
  };
  server.listen(options.port, options.address);
  await once(server, "listening");
  return interposer;
}

class Connection implements Overheard {
  clear = "";
  sealed = "";
  opened = "";
  readonly #manner: Manner;
  readonly #client: Socket;
  readonly #host: Socket;
  /** Where what the host says goes to: the client's socket, or TLS on it. */
  #toClient: Socket;
  /** Lines that are not whole yet. */
  #saying = "";
  #answering = "";
  /** The lines so far of a reply that is not whole. */
  #reply: string[] = [];
  #phase: "lines" | "starting" | "raw" = "lines";

  constructor(client: Socket, behind: number, manner: Manner) {
    this.#manner = manner;
    this.#client = client;
    this.#toClient = client;
    this.#host = createConnection({ host: "127.0.0.1", port: behind, noDelay: true });
    for (const socket of [client, this.#host]) socket.on("error", () => this.cut()).on("close", () => this.cut());
    client.on("data", this.#onClient);
    this.#host.on("data", (octets) => this.#onHost(octets.toString("latin1")));
  }

  cut(): void {
    this.#client.destroy();
    this.#host.destroy();
  }

  readonly #onClient = (octets: Buffer): void => {
    const text = octets.toString("latin1");
    if (this.#phase !== "lines") {
      this.#onSealed(octets, text);
      return;
    }
    this.clear += text;
    this.#saying += text;
    for (;;) {
      const end = this.#saying.indexOf("\r\n");
      if (end === -1) return;
      const line = this.#saying.slice(0, end + 2);
      this.#saying = this.#saying.slice(end + 2);
      const verb = line.split(/[ \r]/)[0]?.toUpperCase();
      if (this.#manner.kind === "refuse" && this.#manner.verb === verb) this.#client.write(`${this.#manner.line}\r\n`);
      else if (verb === "STARTTLS") this.#startTls(line);
      else this.#host.write(line, "latin1");
    }
  };

  #startTls(line: string): void {
    switch (this.#manner.kind) {
      case "mute":
      case "garble":
        this.#phase = "raw";
        this.#client.write("220 go ahead\r\n");
        return;
      case "terminate": {
        this.#phase = "raw";
        this.#client.write("220 go ahead\r\n");
        this.#terminate(this.#manner);
        return;
      }
      default:
        this.#phase = "starting";
        this.#host.write(line);
    }
  }

  #onSealed(octets: Buffer, text: string): void {
    this.sealed += text;
    if (this.#manner.kind === "mute") return;
    if (this.#manner.kind === "garble") this.#client.end(this.#manner.octets, "latin1");
    else this.#host.write(octets);
  }

  #terminate({ pair, maxVersion }: Extract<Manner, { readonly kind: "terminate" }>): void {
    this.#client.off("data", this.#onClient);
    const secureContext = createSecureContext({
      cert: pair.certificate,
      key: pair.privateKey,
      ...(maxVersion === undefined ? {} : { maxVersion }),
    });
    const inside = new TLSSocket(this.#client, { isServer: true, secureContext });
    this.#toClient = inside;
    inside.on("error", () => this.cut());
    inside.on("data", (octets: Buffer) => {
      this.opened += octets.toString("latin1");
      this.#host.write(octets);
    });
  }

  #onHost(text: string): void {
    if (this.#phase === "raw" && this.#toClient === this.#client) {
      this.#client.write(text, "latin1");
      return;
    }
    this.#answering += text;
    for (;;) {
      const end = this.#answering.indexOf("\r\n");
      if (end === -1) return;
      this.#reply.push(this.#answering.slice(0, end));
      this.#answering = this.#answering.slice(end + 2);
      if (this.#reply.at(-1)?.[3] === "-") continue;
      this.#toClient.write(this.#changed(this.#reply), "latin1");
      this.#reply = [];
    }
  }

  /** A whole reply as the client is to get it. */
  #changed(lines: readonly string[]): string {
    if (this.#phase === "starting") {
      this.#phase = "raw";
      const injected = this.#manner.kind === "inject" ? this.#manner.octets : "";
      return `${lines.join("\r\n")}\r\n${injected}`;
    }
    const within = this.#toClient !== this.#client;
    if (this.#manner.kind !== "strip" && !within) return `${lines.join("\r\n")}\r\n`;
    // He promises whatever is wished for, REQUIRETLS too, where the octets pass through his hands.
    const kept = lines.filter((line) => !/^\d{3}[- ]STARTTLS$/i.test(line)).map((line) => line.slice(4));
    if (within && lines[0]?.startsWith("250-") === true) kept.push("REQUIRETLS");
    const code = lines[0]?.slice(0, 3) ?? "";
    return kept.map((line, place) => `${code}${place === kept.length - 1 ? " " : "-"}${line}\r\n`).join("");
  }
}
