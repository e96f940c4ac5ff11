import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { startNode } from "../node.ts";
import { Talk } from "./talk.ts";

/** A host that offers STARTTLS, hangs up on each handshake, and takes whatever is said in clear text. */
class BreakingHost implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  handshakes = 0;
  messages = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async open(): Promise<BreakingHost> {
    const host = new BreakingHost(createServer());
    host.#server.listen(0, "127.0.0.1");
    await once(host.#server, "listening");
    return host;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let mode: "commands" | "handshake" | "body" = "commands";
    socket.on("error", () => {});
    socket.write("220 hop.test\r\n");
    socket.on("data", (octets: Buffer) => {
      if (mode === "handshake") {
        this.handshakes++;
        socket.destroy();
        return;
      }
      for (const line of octets.toString("latin1").split("\r\n")) {
        if (line === "") continue;
        if (mode === "body") {
          if (line !== ".") continue;
          mode = "commands";
          this.messages++;
          socket.write("250 ok\r\n");
        } else if (line.startsWith("EHLO")) socket.write("250-hop.test\r\n250 STARTTLS\r\n");
        else if (line === "STARTTLS") {
          mode = "handshake";
          socket.write("220 go\r\n");
        } else if (line === "DATA") {
          mode = "body";
          socket.write("354 go\r\n");
        } else socket.write("250 ok\r\n");
      }
    });
  }
}

for (const [setting, messages] of [
  ["", 0],
  [`[delivery]\nafter_tls_failure = "clear"\n`, 1],
] as const) {
  const then = messages === 0 ? "waits" : "goes in clear text where the operator says so";
  test(`mail to a host whose handshake fails ${then}`, { timeout: 60_000 }, async () => {
    await using hop = await BreakingHost.open();
    const route = `[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hop.port}"\n`;
    await using node = await startNode({ config: `${setting}[relay]\nnetworks = ["127.0.0.0/8"]\n${route}` });
    const talk = await Talk.open(node.ports.mx);
    for (const line of ["EHLO client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<b@far.test>", "DATA"]) {
      assert.match((await talk.say(line)) ?? "", /^[23]/, line);
    }
    assert.match((await talk.say("Subject: x\r\n\r\nx\r\n.")) ?? "", /^250 /);
    talk.close();
    const until = Date.now() + 30_000;
    const isOver = () => node.log.some(({ event }) => event === "queue.deferred" || event === "queue.delivered");
    while (!isOver() && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(isOver(), "nothing came of it");
    assert.ok(hop.handshakes > 0, "TLS was not tried");
    assert.equal(hop.messages, messages);
  });
}
