// The next hop of the measure of large messages: takes one without holding it, and tells when it was whole and what its checksum is. A
// process of its own; the port in argv[2].
import { createServer, type Socket } from "node:net";
import { crc32 } from "node:zlib";

export interface LargeArrival {
  /** Octets behind the header section, without the end mark. */
  readonly octets: number;
  readonly checksum: number;
  /** `Date.now()`. */
  readonly firstAt: number;
  readonly lastAt: number;
}

const END = Buffer.from("\r\n.\r\n");

/** Reads one body; gives what stands behind its end mark, or null while that has not come. */
class BodyReader {
  #header: Buffer | null = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);
  #octets = 0;
  #checksum = 0;
  readonly #firstAt = Date.now();

  push(chunk: Buffer): LargeArrival | null {
    const before: Buffer = this.#header ?? this.#tail;
    let body: Buffer = before.length === 0 ? chunk : Buffer.concat([before, chunk]);
    if (this.#header !== null) {
      const end = body.indexOf("\r\n\r\n");
      this.#header = end < 0 ? body : null;
      if (end < 0) return null;
      body = body.subarray(end + 4);
    }
    // The end mark stands at the very end: the client waits for the reply.
    if (body.subarray(-END.length).equals(END)) {
      this.#count(body.subarray(0, body.length - 3));
      return { octets: this.#octets, checksum: this.#checksum, firstAt: this.#firstAt, lastAt: Date.now() };
    }
    const held = Math.min(END.length, body.length);
    this.#count(body.subarray(0, body.length - held));
    this.#tail = Buffer.from(body.subarray(body.length - held));
    return null;
  }

  #count(octets: Buffer): void {
    this.#octets += octets.length;
    this.#checksum = crc32(octets, this.#checksum);
  }
}

function converse(socket: Socket): void {
  let reader: BodyReader | null = null;
  let line = "";
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    if (reader !== null) {
      const arrival = reader.push(chunk);
      if (arrival === null) return;
      reader = null;
      process.send?.(arrival);
      socket.write("250 2.0.0 taken\r\n");
      return;
    }
    line += chunk.toString("latin1");
    for (let end = line.indexOf("\r\n"); end >= 0; end = line.indexOf("\r\n")) {
      const verb = line.slice(0, 4).toUpperCase();
      line = line.slice(end + 2);
      if (verb === "EHLO") socket.write("250-sink.test\r\n250 SIZE 0\r\n");
      else if (verb === "DATA") {
        reader = new BodyReader();
        socket.write("354 go\r\n");
      } else if (verb === "QUIT") socket.end("221 2.0.0 bye\r\n");
      else socket.write("250 2.0.0 ok\r\n");
    }
  });
}

if (import.meta.main) {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.write("220 sink.test ESMTP\r\n");
    converse(socket);
  });
  server.listen(Number(process.argv[2]), "127.0.0.1", () => process.send?.("ready"));
  process.on("disconnect", () => process.exit(0));
}
