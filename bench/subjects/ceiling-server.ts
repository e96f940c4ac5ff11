// The bare ceiling: a socket server of the same runtime that parses nothing and stores nothing. It knows the load generator's dialogue by
// heart: a piece that ends with the end mark is a message, any other is an envelope or EHLO.
import { createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { SubjectOptions } from "../subject.ts";

const END = Buffer.from("\r\n.\r\n");
const REPLIES = {
  envelope: Buffer.from("250 ok\r\n250 ok\r\n354 go\r\n"),
  hello: Buffer.from("250-ceiling.test\r\n250-STARTTLS\r\n250 PIPELINING\r\n"),
  end: Buffer.from("250 taken\r\n"),
};
const [E, M, Q, S] = ["E", "M", "Q", "S"].map((letter) => letter.charCodeAt(0));

function serve({ port, certificate, privateKey }: SubjectOptions): void {
  const secureContext = createSecureContext({ cert: certificate, key: privateKey });
  const converse = (socket: Socket): void => {
    let inData = false;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      if (inData) {
        if (!chunk.subarray(-END.length).equals(END)) return;
        inData = false;
        socket.write(REPLIES.end);
      } else if (chunk[0] === M) {
        inData = true;
        socket.write(REPLIES.envelope);
      } else if (chunk[0] === E) socket.write(REPLIES.hello);
      else if (chunk[0] === Q) socket.end("221 bye\r\n");
      else if (chunk[0] === S) {
        socket.removeAllListeners("data");
        socket.write("220 go\r\n");
        converse(new TLSSocket(socket, { isServer: true, secureContext }));
      }
    });
  };
  createServer({ noDelay: true }, (socket) => {
    socket.write("220 ceiling.test ESMTP\r\n");
    converse(socket);
  }).listen(port, "127.0.0.1", 1024, () => process.send?.("ready"));
  process.on("disconnect", () => process.exit(0));
}

const options = process.argv[2];
if (import.meta.main && options !== undefined) serve(JSON.parse(options));
