import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { afterEach, test } from "node:test";
import type { CredentialSource } from "../intake/index.ts";
import { makeCertificate } from "../testing/index.ts";
import { createHttpSource } from "./http-source.ts";

const CONTEXT = { session: "s1", address: "192.0.2.7", port: 40_000, localAddress: "192.0.2.25", localPort: 587 };

let closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing) close();
  closing = [];
});

async function serve(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

/** A service that answers each question with what `answer` gives for it. */
async function asked(
  answer: (question: unknown) => { readonly status: number; readonly body?: string } | null,
  timeout = 2000,
): Promise<CredentialSource> {
  const listener: RequestListener = (request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    request.on("end", () => {
      const given = answer(request.method === "POST" ? JSON.parse(text) : null);
      if (given !== null) response.writeHead(given.status, { location: "/elsewhere" }).end(given.body ?? "");
    });
  };
  const port = await serve(createServer(listener));
  const source = createHttpSource({ url: `http://127.0.0.1:${port}/check`, ca: () => [], timeout });
  closing.push(() => source.close());
  return source;
}

test("a service is asked with name, password and address; 200 is yes, 401 and 403 are no", async () => {
  const questions: unknown[] = [];
  const statuses = [200, 401, 403];
  const source = await asked((question) => {
    questions.push(question);
    return { status: statuses.shift() ?? 500 };
  });
  assert.equal(source.scram, undefined);
  assert.equal(source.account("anna"), null, "nobody, before a login");
  assert.deepEqual(await source.verify("Anna", 'a "secret"\u00e9', CONTEXT), { kind: "verified", identity: "anna" });
  assert.deepEqual(questions, [{ user: "Anna", password: 'a "secret"\u00e9', address: "192.0.2.7", service: "smtp" }]);
  assert.deepEqual(source.account("anna"), { byName: true, grants: [], limits: {} });
  assert.deepEqual(await source.verify("anna", "x", CONTEXT), { kind: "refused" });
  assert.deepEqual(await source.verify("bob", "x", CONTEXT), { kind: "refused" });
  assert.equal(source.account("bob"), null);
  assert.deepEqual(await source.verify("an na", "x", CONTEXT), { kind: "refused" }, "what can be no name");
  assert.equal(questions.length, 3);
});

test("a yes may bring identity, addresses and limits, until the next login", async () => {
  const answers = [
    { identity: "U17", addresses: ["ann@here.test", "@there.test"], limits: { messages_per_hour: 5 }, more: 1 },
    { identity: "u17" },
  ];
  const source = await asked(() => ({ status: 200, body: JSON.stringify(answers.shift()) }));
  assert.deepEqual(await source.verify("ann", "x", CONTEXT), { kind: "verified", identity: "u17" });
  const account = await source.account("u17");
  assert.equal(account?.byName, false, "the name gives nothing where addresses are told");
  assert.deepEqual(
    account?.grants.map(({ kind }) => kind),
    ["address", "domain"],
  );
  assert.deepEqual(account?.limits, { messages_per_hour: 5 });
  assert.equal(source.account("ann"), null);
  await source.verify("ann", "x", CONTEXT);
  assert.deepEqual(source.account("u17"), { byName: true, grants: [], limits: {} });
});

test("whatever is neither yes nor no lets nobody in, and says nothing of the password", async () => {
  const answers = [
    { status: 500 },
    { status: 302 },
    { status: 204 },
    { status: 404 },
    { status: 200, body: "yes" },
    { status: 200, body: "[]" },
    { status: 200, body: '{"identity": "a b"}' },
    { status: 200, body: '{"identity": 5}' },
    { status: 200, body: '{"addresses": ["ann"]}' },
    { status: 200, body: '{"addresses": "ann@here.test"}' },
    { status: 200, body: '{"limits": {"messages_per_hour": -1}}' },
    { status: 200, body: '{"limits": {"messages_per_year": 1}}' },
    { status: 200, body: " ".repeat(70_000) },
    null,
  ];
  const source = await asked(() => answers.shift() ?? null, 300);
  for (let i = answers.length; i > 0; i--) {
    await assert.rejects(source.verify("ann", "s3cret-word", CONTEXT), (error: Error) => {
      assert.match(error.message, /^the check of passwords at http:/);
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    });
  }
  assert.equal(answers.length, 0);
  assert.equal(source.account("ann"), null);
  const away = createHttpSource({ url: "http://127.0.0.1:1/check", ca: () => [] });
  await assert.rejects(away.verify("ann", "s3cret-word", CONTEXT), /ECONNREFUSED/);
});

test("questions at once are bounded", async () => {
  const source = await asked(() => null, 500);
  const questions = Array.from({ length: 51 }, () =>
    source.verify("ann", "x", CONTEXT).then(
      ({ kind }) => kind,
      () => "failed",
    ),
  );
  assert.equal(await questions[50], "busy");
  assert.deepEqual(new Set(await Promise.all(questions.slice(0, 50))), new Set(["failed"]));
});

test("over TLS the service must prove its name by the authorities that are set", async () => {
  const pair = await makeCertificate({ names: ["localhost"], ip: ["127.0.0.1"] });
  const options = { cert: pair.certificate, key: pair.privateKey };
  const port = await serve(
    createTlsServer(options, (request, response) => void request.resume().on("end", () => response.end())),
  );
  const url = `https://127.0.0.1:${port}/`;
  let trusted = [pair.certificate];
  const trusting = createHttpSource({ url, ca: () => trusted });
  assert.deepEqual(await trusting.verify("ann", "x", CONTEXT), { kind: "verified", identity: "ann" });
  trusted = [(await makeCertificate({ names: ["localhost"] })).certificate];
  await assert.rejects(trusting.verify("ann", "x", CONTEXT), /self-signed|certificate/, "authorities may change");
  await assert.rejects(createHttpSource({ url, ca: () => [] }).verify("ann", "x", CONTEXT), /self-signed|certificate/);
});
