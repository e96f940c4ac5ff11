import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { createServer as createTcpServer } from "node:net";
import { after, test } from "node:test";
import { fakeResolver, type KeyPair, makeAuthority, makeCertificate } from "../testing/index.ts";
import { createStsFetch, type StsFetchOptions } from "./sts-fetch.ts";

const POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.test\r\nmax_age: 86400\r\n";
const NAME = "mta-sts.example.test";
const authority = makeAuthority();
const good = makeCertificate({ names: [NAME], issuer: authority });
const open = new AbortController().signal;
const servers: { close(): void }[] = [];
after(() => {
  for (const server of servers) server.close();
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const serves =
  (body: string, type = "text/plain", status = 200): Handler =>
  (_request, response) =>
    response.writeHead(status, type === "" ? {} : { "content-type": type }).end(body);

/** The port of a policy host on loopback. */
async function host(handler: Handler, pair: KeyPair = good): Promise<number> {
  const server = createServer({ cert: pair.certificate, key: pair.privateKey }, handler).listen(0, "127.0.0.1");
  servers.push({ close: () => void server.close().closeAllConnections() });
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function fetchFrom(port: number, options: Partial<StsFetchOptions> = {}) {
  const fetch = createStsFetch({
    resolver: fakeResolver({ [NAME]: { a: ["127.0.0.1"] } }),
    networks: ["127.0.0.0/8"],
    ca: [authority.certificate],
    port,
    timeout: 5000,
    ...options,
  });
  return fetch("example.test", open);
}

/** The type of the failure, or `had`. */
async function outcome(port: number, options: Partial<StsFetchOptions> = {}): Promise<string> {
  const fetched = await fetchFrom(port, options);
  return fetched.ok ? "had" : fetched.error.type;
}

test("a policy is asked for by name and path, and read", async () => {
  const seen: (string | undefined)[] = [];
  const port = await host((request, response) => {
    seen.push(request.method, request.url, request.headers.host, request.headers.connection);
    const named = "servername" in request.socket ? String(request.socket.servername) : "";
    seen.push(named);
    serves(POLICY, "Text/Plain; charset=utf-8; x=y")(request, response);
  });
  const fetched = await fetchFrom(port);
  assert.ok(fetched.ok, fetched.ok ? "" : fetched.error.detail);
  const { mode, mx, maxAge } = fetched.value;
  assert.deepEqual({ mode, mx, maxAge }, { mode: "enforce", mx: ["mx.example.test"], maxAge: 86_400_000 });
  assert.deepEqual(seen, ["GET", "/.well-known/mta-sts.txt", `${NAME}:${port}`, "close", NAME]);
});

test("a body in pieces, and one that ends with the connection, are whole", async () => {
  const pieces = await host((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    for (const piece of POLICY.match(/[\s\S]{1,7}/g) ?? []) response.write(piece);
    response.end();
  });
  assert.equal(await outcome(pieces), "had");
  const unlength = await host((_request, response) => {
    response.removeHeader("transfer-encoding");
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200, { "content-type": "text/plain", connection: "close" }).end(POLICY);
  });
  assert.equal(await outcome(unlength), "had");
});

test("only status 200 will do, and no redirect is followed", async () => {
  let asked = 0;
  for (const status of [301, 302, 307, 308, 204, 206, 403, 404, 500, 503]) {
    const port = await host((request, response) => {
      asked += 1;
      response.setHeader("location", "/elsewhere");
      serves(POLICY, "text/plain", status)(request, response);
    });
    assert.equal(await outcome(port), "sts-policy-fetch-error", String(status));
  }
  assert.equal(asked, 10);
});

test("a policy is text/plain, UTF-8 and not encoded", async () => {
  for (const type of ["text/html", "application/octet-stream", "text/plainer", ""]) {
    assert.equal(await outcome(await host(serves(POLICY, type))), "sts-policy-invalid", type);
  }
  const binary = await host((_request, response) =>
    response.writeHead(200, { "content-type": "text/plain" }).end(Buffer.from([0x76, 0xff, 0xfe])),
  );
  assert.equal(await outcome(binary), "sts-policy-invalid");
  const encoded = await host((_request, response) =>
    response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" }).end(POLICY),
  );
  assert.equal(await outcome(encoded), "sts-policy-fetch-error");
  assert.equal(await outcome(await host(serves("<html>parked</html>"))), "sts-policy-invalid");
});

test("64 KiB is the most, announced or not", async () => {
  const most = POLICY + "x: y\r\n".repeat((65_536 - POLICY.length - 4) / 6);
  const fill = (length: number): string => most + " ".repeat(length - most.length);
  assert.equal(await outcome(await host(serves(fill(65_536)))), "had");
  assert.equal(await outcome(await host(serves(fill(65_537)))), "sts-policy-invalid");
  let stopped = false;
  const endless = await host((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    response.on("close", () => {
      stopped = true;
    });
    const more = (): void => {
      while (!response.destroyed && response.write(" ".repeat(4096)));
    };
    response.on("drain", more);
    more();
  });
  assert.equal(await outcome(endless), "sts-policy-invalid");
  while (!stopped) await new Promise((resolve) => setTimeout(resolve, 10));
});

test("a trickle, a hang and silence behind TCP end with the time", async () => {
  const trickle = await host((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    const timer = setInterval(() => response.write("x"), 50);
    response.on("close", () => clearInterval(timer));
  });
  const hang = await host(() => {});
  const mute = createTcpServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(mute, "listening");
  servers.push(mute);
  const address = mute.address();
  const mutePort = typeof address === "object" && address !== null ? address.port : 0;
  for (const port of [trickle, hang, mutePort]) {
    const before = Date.now();
    assert.equal(await outcome(port, { timeout: 300 }), "sts-policy-fetch-error");
    assert.ok(Date.now() - before < 2000);
  }
});

test("a body that is cut off is no policy", async () => {
  const short = await host((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain", "content-length": "4000" });
    response.write(POLICY, () => response.destroy());
  });
  assert.equal(await outcome(short), "sts-policy-fetch-error");
  const chunked = await host((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    response.write(POLICY, () => response.destroy());
  });
  assert.equal(await outcome(chunked), "sts-policy-fetch-error");
});

test("what is not HTTP is no policy", async () => {
  const port = await host((request) => {
    request.socket.end("220 mx.example.test ESMTP\r\n");
  });
  assert.equal(await outcome(port), "sts-policy-fetch-error");
});

test("the certificate must be valid for the policy host by its DNS names", async () => {
  const past = new Date(Date.now() - 10 * 86_400_000);
  const cases: Record<string, readonly [KeyPair, string]> = {
    wildcard: [makeCertificate({ names: ["*.example.test"], issuer: authority }), "had"],
    "wrong name": [makeCertificate({ names: ["example.test"], issuer: authority }), "sts-webpki-invalid"],
    "a label too many": [makeCertificate({ names: ["*.test"], issuer: authority }), "sts-webpki-invalid"],
    expired: [makeCertificate({ names: [NAME], issuer: authority, notBefore: past, days: 5 }), "sts-webpki-invalid"],
    "self-signed": [makeCertificate({ names: [NAME] }), "sts-webpki-invalid"],
    "of another authority": [makeCertificate({ names: [NAME], issuer: makeAuthority() }), "sts-webpki-invalid"],
  };
  for (const [name, [pair, expected]] of Object.entries(cases)) {
    let asked = 0;
    const port = await host((request, response) => {
      asked += 1;
      serves(POLICY)(request, response);
    }, pair);
    assert.equal(await outcome(port), expected, name);
    assert.equal(asked, expected === "had" ? 1 : 0, `${name}: nothing is asked of a host that proves nothing`);
  }
});

test("no policy is fetched from an address that is not public, unless the operator names its network", async () => {
  const port = await host(serves(POLICY));
  assert.equal(await outcome(port, { networks: [] }), "sts-policy-fetch-error");
  assert.equal(await outcome(port, { networks: ["10.0.0.0/8"] }), "sts-policy-fetch-error");
  const mixed = fakeResolver({ [NAME]: { a: ["127.0.0.1"], aaaa: ["::ffff:127.0.0.1", "::1", "fe80::1"] } });
  assert.equal(await outcome(port, { networks: [], resolver: mixed }), "sts-policy-fetch-error");
  assert.equal(await outcome(port, { resolver: mixed }), "had");
});

test("a host that cannot be found or reached is a failure to fetch", async () => {
  assert.equal(await outcome(1, { resolver: fakeResolver({}) }), "sts-policy-fetch-error");
  assert.equal(await outcome(1, { resolver: fakeResolver({ [NAME]: "servfail" }) }), "sts-policy-fetch-error");
  assert.equal(await outcome(1), "sts-policy-fetch-error");
});

test("a fetch that is given up ends at once", async () => {
  const port = await host(() => {});
  const giveUp = new AbortController();
  const fetch = createStsFetch({
    resolver: fakeResolver({ [NAME]: { a: ["127.0.0.1"] } }),
    networks: ["127.0.0.0/8"],
    ca: [authority.certificate],
    port,
  });
  const running = fetch("example.test", giveUp.signal);
  setTimeout(() => giveUp.abort(), 50);
  const fetched = await running;
  assert.equal(fetched.ok, false);
});
