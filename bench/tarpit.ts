// Next hops that take their time: each reply comes after a wait. A process of its own; its task as JSON in argv[2].
import { createServer, type Socket } from "node:net";

export interface TarpitTask {
  readonly addresses: readonly string[];
  readonly port: number;
  /** Milliseconds before each reply. */
  readonly wait: number;
}

function converse(socket: Socket, wait: number): void {
  socket.setEncoding("latin1").on("error", () => {});
  const later = (reply: string): void => void setTimeout(() => socket.write(`${reply}\r\n`), wait);
  let [text, inData] = ["", false];
  later("220 tarpit.test ESMTP");
  socket.on("data", (piece: string) => {
    text += piece;
    if (inData && text.endsWith("\r\n.\r\n")) {
      [text, inData] = ["", false];
      later("250 taken at last");
    }
    for (let end = text.indexOf("\r\n"); end >= 0 && !inData; end = text.indexOf("\r\n")) {
      inData = text.slice(0, 4).toUpperCase() === "DATA";
      text = text.slice(end + 2);
      later(inData ? "354 go" : "250 ok");
    }
  });
}

function serve({ addresses, port, wait }: TarpitTask): void {
  let listening = 0;
  for (const address of addresses) {
    createServer((socket) => converse(socket, wait)).listen(port, address, 1024, () => {
      if (++listening === addresses.length) process.send?.("ready");
    });
  }
  process.on("disconnect", () => process.exit(0));
}

const task = process.argv[2];
if (import.meta.main && task !== undefined) serve(JSON.parse(task));
