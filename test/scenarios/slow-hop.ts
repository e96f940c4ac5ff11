import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/** A next hop that takes messages, and says so when it is let. */
export class SlowHop {
  readonly port: number;
  /** Subjects of messages that were whole, in order. */
  readonly subjects: string[] = [];
  /** Octets of them all. */
  octets = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #waiting: (() => void)[] = [];
  #holding: boolean;

  private constructor(server: Server, port: number, holding: boolean) {
    this.#server = server;
    this.port = port;
    this.#holding = holding;
  }

  /** `holding`: it owes the reply to the end of data until `release`. */
  static async listen(options: { readonly holding: boolean; readonly port?: number }): Promise<SlowHop> {
    const server = createServer();
    server.listen(options.port ?? 0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const hop = new SlowHop(server, port, options.holding);
    server.on("connection", (socket) => hop.#converse(socket));
    return hop;
  }

  /** Says what it owes, and owes nothing from now on. */
  release(): void {
    this.#holding = false;
    for (const say of this.#waiting.splice(0)) say();
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setEncoding("latin1").on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.write("220 hop.test ESMTP\r\n");
    let [text, inData] = ["", false];
    socket.on("data", (piece: string) => {
      text += piece;
      if (inData) {
        if (!text.endsWith("\r\n.\r\n")) return;
        this.subjects.push(/^Subject: (.*)\r$/m.exec(text)?.[1] ?? "");
        this.octets += text.length;
        [text, inData] = ["", false];
        const say = (): void => void socket.write("250 taken\r\n");
        if (this.#holding) this.#waiting.push(say);
        else say();
        return;
      }
      for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n")) {
        const verb = text.slice(0, 4).toUpperCase();
        text = text.slice(end + 2);
        inData = verb === "DATA";
        socket.write(inData ? "354 go\r\n" : verb === "QUIT" ? "221 bye\r\n" : "250 ok\r\n");
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
