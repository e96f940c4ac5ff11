// PROXY headers at a server, over sockets: who must send one, what it changes, and what happens without.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { type Log, silentLog, unwrap } from "../base/index.ts";
import { ServerTls } from "../net/index.ts";
import { makeCertificate } from "../testing/index.ts";
import {
  type Client,
  createServer,
  definePolicy,
  inNetworks,
  type Server,
  type ServerOptions,
  type Service,
} from "./index.ts";

const tls = unwrap(ServerTls.create({ keyPairs: [makeCertificate({ names: ["mx.test"] })] }));
const header = (client: string, port = 4000) => `PROXY TCP4 ${client} 198.51.100.25 ${port} 25\r\n`;
const LOOPBACK = inNetworks(["127.0.0.0/8"]);

interface Stage {
  readonly server: Server;
  /** Who was let in, in order. */
  readonly clients: Client[];
  readonly logged: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[];
  call(): Caller;
}

async function withServer(
  options: { readonly service?: Partial<Service>; readonly limits?: ServerOptions["limits"] },
  act: (stage: Stage) => Promise<void>,
): Promise<void> {
  const clients: Client[] = [];
  const logged: { event: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const note = (event: string, fields: Readonly<Record<string, unknown>> = {}) => void logged.push({ event, fields });
  const log: Log = { ...silentLog, info: note, warn: note, error: note, child: () => log };
  const policy = definePolicy({
    connect: (client) => {
      clients.push(client);
      return { kind: "accept" };
    },
    body: () => ({ kind: "refuse", reply: { code: 554, status: null, lines: ["No"] } }),
  });
  const service: Service = { tls: "starttls", proxy: LOOPBACK, ...options.service };
  const listeners = [{ ...service, address: "127.0.0.1", port: 0 }];
  const server = createServer({ hostname: "mx.test", listeners, policy, tls, log, limits: options.limits ?? {} });
  const [local] = unwrap(await server.start());
  const callers: Caller[] = [];
  const call = () => {
    const caller = new Caller(connect({ host: "127.0.0.1", port: local?.port ?? 0, noDelay: true }));
    callers.push(caller);
    return caller;
  };
  try {
    await act({ server, clients, logged, call });
  } finally {
    for (const { socket } of callers) socket.destroy();
    await server.stop({ grace: 0 });
  }
}

class Caller {
  readonly socket: Socket;
  text = "";
  readonly over: Promise<void>;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes) => {
      this.text += bytes.toString("latin1");
    });
    socket.on("error", () => {});
    this.over = new Promise((resolve) => socket.on("close", () => resolve()));
  }

  say(octets: string): void {
    this.socket.write(octets, "latin1");
  }

  async hears(expected: RegExp): Promise<void> {
    const until = Date.now() + 5000;
    while (!expected.test(this.text)) {
      if (Date.now() > until) throw new Error(`${expected} did not come: ${JSON.stringify(this.text)}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

test("the client of the header is the client: for the policy, the log and the session", () =>
  withServer({}, async ({ clients, logged, call }) => {
    const caller = call();
    caller.say(header("192.0.2.1"));
    await caller.hears(/^220 mx\.test/);
    caller.say("EHLO client.test\r\n");
    await caller.hears(/^250 /m);
    const [client] = clients;
    assert.deepEqual(client?.peer, { address: "192.0.2.1", port: 4000 });
    assert.deepEqual(client?.local, { address: "198.51.100.25", port: 25 });
    const opened = logged.find(({ event }) => event === "session.opened");
    assert.equal(opened?.fields.peer, "192.0.2.1");
    assert.equal(opened?.fields.proxy, "127.0.0.1");
  }));

test("not a word before the header is whole", () =>
  withServer({}, async ({ call }) => {
    const caller = call();
    await new Promise((resolve) => caller.socket.once("connect", resolve));
    for (const octet of header("192.0.2.1")) {
      assert.equal(caller.text, "");
      caller.say(octet);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await caller.hears(/^220 /);
  }));

test("octets behind the header are the session's: talk before the greeting where that is held back", () =>
  withServer({ limits: { greetingDelay: 20 } }, async ({ call }) => {
    const caller = call();
    caller.say(`${header("192.0.2.1")}EHLO client.test\r\n`);
    await caller.hears(/554 5\.5\.0/);
    await caller.over;
  }));

test("octets behind the header are the session's: taken where early talk is", () =>
  withServer({ service: { refuseEarlyTalk: false } }, async ({ call }) => {
    const caller = call();
    caller.say(`${header("192.0.2.1")}EHLO client.test\r\nNOOP\r\n`);
    await caller.hears(/^220 .*\r\n(?:250.*\r\n)+250 2\.0\.0 Ok\r\n$/);
  }));

test("TLS with the first octet behind the header, and by STARTTLS: the client stays the header's", async () => {
  for (const mode of ["implicit", "starttls"] as const) {
    await withServer({ service: { tls: mode } }, async ({ clients, logged, call }) => {
      const caller = call();
      caller.say(header("192.0.2.1"));
      if (mode === "starttls") {
        await caller.hears(/^220 /);
        caller.say("STARTTLS\r\n");
        await caller.hears(/^220 2\.0\.0 /m);
      }
      caller.socket.removeAllListeners("data");
      const secured = new Caller(connectTls({ socket: caller.socket, rejectUnauthorized: false }));
      if (mode === "implicit") await secured.hears(/^220 /);
      secured.say("EHLO client.test\r\n");
      await secured.hears(/^250 /m);
      assert.equal(clients.at(-1)?.peer.address, "192.0.2.1");
      assert.ok(logged.some(({ event }) => event === "session.secured"));
    });
  }
});

test("each client has its own share of places, however many one proxy brings", () =>
  withServer({ limits: { connectionsPerAddress: 2 } }, async ({ call }) => {
    const said = async (address: string, expected: RegExp) => {
      const caller = call();
      caller.say(header(address));
      await caller.hears(expected);
      return caller;
    };
    const first = await said("192.0.2.1", /^220 /);
    for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"]) await said(address, /^220 /);
    await said("192.0.2.1", /^421 4\.7\.0/);
    first.socket.destroy();
    await first.over;
    await new Promise((resolve) => setTimeout(resolve, 20));
    await said("192.0.2.1", /^220 /);
  }));

test("a proxy that speaks for itself is the client", () =>
  withServer({}, async ({ clients, call }) => {
    const caller = call();
    caller.say("PROXY UNKNOWN\r\n");
    await caller.hears(/^220 /);
    assert.equal(clients[0]?.peer.address, "127.0.0.1");
  }));

test("no header or a broken one from a proxy: closed without a word, its place given back", () =>
  withServer({ limits: { connections: 1 } }, async ({ server, clients, logged, call }) => {
    for (const octets of ["EHLO client.test\r\n", "PROXY TCP4 1 2 3 4\r\n", "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"]) {
      const caller = call();
      caller.say(octets);
      await caller.over;
      assert.equal(caller.text, "");
    }
    assert.equal(clients.length, 0);
    assert.equal(server.connections, 0);
    assert.equal(logged.filter(({ event }) => event === "session.proxy-failed").length, 3);
    const caller = call();
    caller.say(header("192.0.2.1"));
    await caller.hears(/^220 /);
  }));

test("a proxy that sends no whole header is waited for only so long", () =>
  withServer({ limits: { proxyHeader: 40 } }, async ({ logged, call }) => {
    const caller = call();
    caller.say(header("192.0.2.1").slice(0, -1));
    await caller.over;
    assert.equal(caller.text, "");
    assert.ok(logged.some(({ event, fields }) => event === "session.proxy-failed" && fields.kind === "timeout"));
  }));

test("from anybody else a header is junk, and changes nothing", () =>
  withServer({ service: { proxy: inNetworks(["192.0.2.0/24"]) } }, async ({ clients, call }) => {
    const caller = call();
    await caller.hears(/^220 /);
    caller.say(`${header("192.0.2.1")}EHLO client.test\r\n`);
    await caller.hears(/^500 5\.5\.1 [^\r]*\r\n250/m);
    assert.equal(clients[0]?.peer.address, "127.0.0.1");
  }));

test("a second header is junk too", () =>
  withServer({}, async ({ clients, call }) => {
    const caller = call();
    caller.say(header("192.0.2.1"));
    await caller.hears(/^220 /);
    caller.say(header("192.0.2.2"));
    await caller.hears(/^500 5\.5\.1/m);
    assert.deepEqual(
      clients.map(({ peer }) => peer.address),
      ["192.0.2.1"],
    );
  }));

test("a stop does not wait for a header", () =>
  withServer({ limits: { proxyHeader: 60_000 } }, async ({ server, call }) => {
    const caller = call();
    caller.say("PROXY ");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await server.stop({ grace: 5000 });
    await caller.over;
    assert.equal(caller.text, "");
  }));
