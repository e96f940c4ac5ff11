import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { KeyPair } from "../testing/index.ts";

/** How the peer behaves on the next connection; a test changes it as it goes. */
export interface TlsPeerManner {
  /** Null: STARTTLS is not offered. */
  pair: KeyPair | null;
  /** Offered inside TLS. */
  requireTls: boolean;
  /** Hangs up on a ClientHello that does not fit into one packet. */
  smallHelloOnly: boolean;
  /** What is said to STARTTLS. */
  starttls: string;
  /** Answers a ClientHello with this, which is no TLS. */
  garbage: string | null;
  maxVersion: "TLSv1.2" | "TLSv1.3";
}

export interface TlsPeerConnection {
  readonly clear: string[];
  readonly secure: string[];
  resumed: boolean;
}

export interface TlsPeer {
  readonly port: number;
  readonly manner: TlsPeerManner;
  readonly connections: readonly TlsPeerConnection[];
}

/** A packet of an Ethernet: what a ClientHello with a post-quantum key does not fit into. */
const PACKET = 1400;

/** A server on loopback that takes all mail, with STARTTLS as `manner` says. */
export async function tlsPeer(t: TestContext, manner: Partial<TlsPeerManner> = {}, address = "127.0.0.2", port = 0) {
  const current: TlsPeerManner = {
    pair: null,
    requireTls: false,
    smallHelloOnly: false,
    starttls: "220 go",
    garbage: null,
    maxVersion: "TLSv1.3",
    ...manner,
  };
  const connections: TlsPeerConnection[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    const connection: TlsPeerConnection = { clear: [], secure: [], resumed: false };
    connections.push(connection);
    socket.write("220 mx.test\r\n");
    converse(socket, connection.clear, current, () => secure(socket, connection, current));
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return { port: bound.port, manner: current, connections } satisfies TlsPeer;
}

function secure(socket: Socket, connection: TlsPeerConnection, manner: TlsPeerManner): void {
  const { pair } = manner;
  assert.ok(pair !== null);
  socket.removeAllListeners("data");
  socket.once("data", (hello) => {
    if (manner.smallHelloOnly && hello.length > PACKET) {
      socket.resetAndDestroy();
      return;
    }
    if (manner.garbage !== null) {
      socket.end(manner.garbage);
      return;
    }
    socket.pause();
    socket.unshift(hello);
    const inside = new TLSSocket(socket, { isServer: true, secureContext: contextOf(pair, manner.maxVersion) });
    inside.on("error", () => socket.destroy());
    inside.on("secure", () => {
      connection.resumed = inside.isSessionReused();
    });
    converse(inside, connection.secure, manner, null);
  });
}

/** One for all connections, so that they can resume each other's sessions. */
const contexts = new Map<string, SecureContext>();

function contextOf({ certificate, privateKey }: KeyPair, maxVersion: TlsPeerManner["maxVersion"]): SecureContext {
  const key = `${maxVersion} ${certificate}`;
  const made = contexts.get(key) ?? createSecureContext({ cert: certificate, key: privateKey, maxVersion });
  contexts.set(key, made);
  return made;
}

/** Answers command lines; `startTls` is null inside TLS. */
function converse(socket: Socket, lines: string[], manner: TlsPeerManner, startTls: (() => void) | null): void {
  let pending = "";
  let inData = false;
  socket.on("data", (chunk) => {
    pending += chunk.toString("latin1");
    for (;;) {
      const mark = inData ? "\r\n.\r\n" : "\r\n";
      const end = pending.indexOf(mark);
      if (end === -1) return;
      const line = pending.slice(0, end);
      pending = pending.slice(end + mark.length);
      lines.push(line);
      if (inData) {
        inData = false;
        socket.write("250 2.0.0 taken\r\n");
      } else if (line.startsWith("EHLO")) {
        const offers = startTls === null ? (manner.requireTls ? ["REQUIRETLS"] : []) : manner.pair ? ["STARTTLS"] : [];
        socket.write(
          ["250-mx.test", ...offers.map((offer) => `250-${offer}`), "250 ENHANCEDSTATUSCODES\r\n"].join("\r\n"),
        );
      } else if (line === "STARTTLS") {
        socket.write(`${manner.starttls}\r\n`);
        if (startTls !== null && manner.starttls.startsWith("220")) startTls();
      } else if (line === "DATA") {
        inData = true;
        socket.write("354 go\r\n");
      } else {
        socket.write("250 2.0.0 ok\r\n");
      }
    }
  });
}

/** Whether nothing that tells of a message went out in clear text (RFC 3207 §6). */
export function keptSilence(peer: TlsPeer): boolean {
  return peer.connections.every(({ clear }) => clear.every((line) => /^(EHLO .*|STARTTLS|QUIT)$/.test(line)));
}
