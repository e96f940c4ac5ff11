import assert from "node:assert/strict";
import { once } from "node:events";
import { request as requestClear } from "node:http";
import { request } from "node:https";
import { createConnection } from "node:net";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { type Log, unwrap } from "../base/index.ts";
import { type Endpoint, ServerTls, systemClock } from "../net/index.ts";
import { makeAuthority, makeCertificate } from "../testing/index.ts";
import type { Page } from "./page.ts";
import { createWebServer, type WebServer } from "./web-server.ts";

const authority = makeAuthority();
const ca = authority.certificate;
const one = makeCertificate({ names: ["one.test"], issuer: authority });
const two = makeCertificate({ names: ["two.test"], issuer: authority });
const tls = unwrap(ServerTls.create({ keyPairs: [one, two], protocol: "http/1.1" }));
const page: Page = {
  serves: (host) => host.endsWith(".test"),
  path: "/page",
  respond({ host }) {
    if (host === "broken.test") throw new Error("a bug");
    return { status: 200, type: "text/plain; charset=utf-8", body: `${host}\r\n`, maxAge: 60 };
  },
};
/** A log that keeps the names of events. */
function recordingLog(): { readonly log: Log; readonly events: readonly string[] } {
  const events: string[] = [];
  const keep = (event: string): void => void events.push(event);
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep, child: () => log };
  return { log, events };
}

const servers: WebServer[] = [];
after(() => Promise.all(servers.map((server) => server.stop())));

async function serve(log = recordingLog().log): Promise<{ server: WebServer; secure: Endpoint; clear: Endpoint }> {
  const server = createWebServer({
    listeners: [
      { address: "127.0.0.1", port: 0, tls: "implicit" },
      { address: "127.0.0.1", port: 0, tls: "none" },
    ],
    tls,
    pages: () => [page],
    clock: systemClock,
    log,
  });
  servers.push(server);
  const [secure, clear] = unwrap(await server.start());
  assert.ok(secure !== undefined && clear !== undefined);
  return { server, secure, clear };
}

interface Fetched {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function fetched(call: ReturnType<typeof request>): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    call.on("error", reject).on("response", async (response) => {
      let body = "";
      for await (const chunk of response.setEncoding("latin1")) body += String(chunk);
      resolve({ status: response.statusCode, headers: response.headers, body });
    });
    call.end();
  });
}

function get(port: number, name: string, path: string, method = "GET"): Promise<Fetched> {
  const at = { host: "127.0.0.1", port, servername: name, ca, path, method, headers: { host: name } };
  return fetched(request({ ...at, agent: false }));
}

/** Writes octets in clear text, and reads until the server closes. */
async function raw(port: number, text: string): Promise<string> {
  const socket = createConnection({ host: "127.0.0.1", port });
  let received = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    received += String(chunk);
  });
  socket.on("error", () => {});
  socket.write(text);
  await once(socket, "close");
  return received;
}

test("a page is served by its name, each with its certificate", async () => {
  const { secure } = await serve();
  for (const name of ["one.test", "two.test"]) {
    const { status, headers, body } = await get(secure.port, name, "/page");
    assert.deepEqual([status, body], [200, `${name}\r\n`]);
    assert.equal(headers["content-type"], "text/plain; charset=utf-8");
    assert.equal(headers["content-length"], "10");
    assert.equal(headers["cache-control"], "max-age=60");
    assert.equal(headers.connection, "close");
  }
});

test("HEAD has the fields alone; other paths and methods are refused", async () => {
  const { secure } = await serve();
  const head = await get(secure.port, "one.test", "/page", "HEAD");
  assert.deepEqual([head.status, head.headers["content-length"], head.body], [200, "10", ""]);
  assert.equal((await get(secure.port, "one.test", "/other")).status, 404);
  const post = await get(secure.port, "one.test", "/page", "POST");
  assert.deepEqual([post.status, post.headers.allow], [405, "GET, HEAD"]);
});

test("behind a proxy there is no TLS", async () => {
  const { clear } = await serve();
  const at = { host: "127.0.0.1", port: clear.port, path: "/page", headers: { host: "three.test" } };
  assert.deepEqual((await fetched(requestClear({ ...at, agent: false }))).body, "three.test\r\n");
});

test("a connection gets one answer, whatever is behind the request", async () => {
  const { clear } = await serve();
  const one = "GET /page HTTP/1.1\r\nHost: one.test\r\nConnection: keep-alive\r\n\r\n";
  assert.equal((await raw(clear.port, one.repeat(5))).match(/HTTP\/1\.1/g)?.length, 1);
  const body = "POST /page HTTP/1.1\r\nHost: one.test\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\nxxx";
  assert.match(await raw(clear.port, body), /^HTTP\/1\.1 405 /);
});

test("what is no HTTP, or too much of it, is refused and closed", async () => {
  const { clear } = await serve();
  assert.match(await raw(clear.port, "EHLO client.test\r\n\r\n"), /^HTTP\/1\.1 400 /);
  assert.match(await raw(clear.port, "GET /page HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 400 /);
  assert.match(
    await raw(clear.port, `GET /page HTTP/1.1\r\nHost: a.test\r\nX: ${"x".repeat(9000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 /,
  );
  assert.match(await raw(clear.port, "GET /page HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"), /^HTTP\/1\.1 400 /);
});

test("a page that throws is a 500 without its reasons, and the next request is served", async () => {
  const recording = recordingLog();
  const { secure } = await serve(recording.log);
  const broken = await get(secure.port, "broken.test", "/page").catch((error: Error) => error);
  assert.ok(broken instanceof Error, "no certificate names it");
  const clear = await serve(recording.log);
  const at = { host: "127.0.0.1", port: clear.clear.port, path: "/page", headers: { host: "broken.test" } };
  const answer = await fetched(requestClear({ ...at, agent: false }));
  assert.deepEqual([answer.status, answer.body.includes("a bug")], [500, false]);
  assert.ok(recording.events.includes("web.broken"));
  assert.equal((await get(secure.port, "one.test", "/page")).status, 200);
});

test("one address gets so many connections and no more, and a stop closes them all", async () => {
  const recording = recordingLog();
  const { server, secure } = await serve(recording.log);
  const at = { host: "127.0.0.1", port: secure.port, ca, servername: "one.test" };
  const idle = Array.from({ length: 25 }, () => connectTls(at));
  let secured = 0;
  let closed = 0;
  for (const socket of idle) {
    socket.on("error", () => {});
    socket.on("secureConnect", () => {
      secured += 1;
    });
    socket.on("close", () => {
      closed += 1;
    });
    socket.resume();
  }
  while (closed + secured < 25) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([secured, closed], [20, 5]);
  assert.equal(recording.events.filter((event) => event === "web.turned-away").length, 5);
  await server.stop();
  while (closed < 25) await new Promise((resolve) => setTimeout(resolve, 10));
});

test("a client of another protocol is shown out by the handshake", async () => {
  const { secure } = await serve();
  const socket = connectTls({
    host: "127.0.0.1",
    port: secure.port,
    ca,
    servername: "one.test",
    ALPNProtocols: ["smtp"],
  });
  const [error] = await once(socket, "error");
  assert.ok(error instanceof Error);
});
