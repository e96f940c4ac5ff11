// Logging in to a real daemon: what is bound to TLS holds against somebody between, and in clear text there is nothing to log in to.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectClear } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import tls from "node:tls";
import { unwrap } from "../../src/base/index.ts";
import { type ClientAuth, createClient, openSession } from "../../src/client/index.ts";
import { connect } from "../../src/net/index.ts";
import { makeCertificate } from "../../src/testing/index.ts";
import { logged, type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

const USER = "ada@here.test";
const PASSWORD = "correct horse battery staple";

let node: Node;
before(async () => {
  node = await startNode({ domains: ["here.test"], users: { [USER]: PASSWORD } });
});
after(() => node?.[Symbol.asyncDispose]());

/** Somebody who ends the TLS of both sides, and may change what the server says. */
async function between(change: (text: string) => string = (text) => text) {
  const pair = makeCertificate({ names: ["localhost"] });
  const server = tls.createServer({ cert: pair.certificate, key: pair.privateKey }, (near) => {
    const far = tls.connect({ host: "127.0.0.1", port: node.ports.submissions, rejectUnauthorized: false });
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
    near.on("data", (bytes: Buffer) => far.write(bytes));
    far.on("data", (bytes: Buffer) => near.write(change(bytes.toString("latin1")), "latin1"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.dispose]: () => void server.close() };
}

/** What logging in through `port` came to, from a client that believes every certificate. */
async function login(port: number, mechanisms?: readonly string[]): Promise<string> {
  const auth: ClientAuth = { user: USER, password: PASSWORD, ...(mechanisms === undefined ? {} : { mechanisms }) };
  const client = createClient({ host: "127.0.0.1", port, tls: "implicit", verify: "nothing", auth });
  const verified = await client.verify();
  await client.close();
  if (verified.ok) return "in";
  return verified.error.kind === "refused" ? `refused ${verified.error.reply.code}` : verified.error.kind;
}

const unbound = (): number => node.log.filter(({ event }) => event === "intake.auth.unbound").length;

test("SCRAM-SHA-256-PLUS holds against a man in the middle whose certificate is believed, where a password does not", async () => {
  using man = await between();
  assert.equal(await login(node.ports.submissions), "in");
  assert.equal(await login(man.port, ["PLAIN"]), "in", "he hears the password");
  assert.equal(await login(man.port, ["SCRAM-SHA-256-PLUS"]), "refused 535");
  await logged(node, "intake.auth.unbound");
  assert.equal(unbound(), 1, "and the operator is told, of him alone");
});

test("who takes the offer of -PLUS away is found out by what the client says of it (RFC 5802 §6)", async () => {
  using man = await between((text) => text.replace(" SCRAM-SHA-256-PLUS", ""));
  const before = unbound();
  assert.equal(await login(man.port, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]), "refused 535");
  await logged(node, "intake.auth.unbound", { count: before + 1 });
});

test("over TLS 1.2 the client binds to the server's certificate (RFC 5929 §4)", async () => {
  const stream = unwrap(await connect({ addresses: ["127.0.0.1"], port: node.ports.submission, timeout: 5000 }));
  const options = { serverName: null, verify: { kind: "nothing" }, maxVersion: "TLSv1.2", timeout: 5000 } as const;
  const auth = { user: USER, password: PASSWORD, mechanisms: ["SCRAM-SHA-256-PLUS"] };
  const session = unwrap(await openSession({ stream, hello: "client.test", tls: { kind: "required", options }, auth }));
  assert.equal(session.tls?.version, "TLSv1.2");
  await session.quit();
});

/** The codes of the replies to `lines`, said in clear text after EHLO. */
async function inClear(...lines: readonly string[]): Promise<readonly string[]> {
  const socket = connectClear(node.ports.submission, "127.0.0.1");
  let heard = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    heard += text;
  });
  const replies = (): readonly string[] => heard.split("\r\n").filter((line) => /^\d{3}(?: |$)/.test(line));
  const reply = async (count: number): Promise<void> => {
    while (replies().length < count) await once(socket, "data");
  };
  await reply(1);
  for (const [at, line] of ["EHLO client.test", ...lines].entries()) {
    socket.write(`${line}\r\n`);
    await reply(at + 2);
  }
  socket.destroy();
  return replies()
    .slice(2)
    .map((line) => line.split(" ", 2).join(" "));
}

test("in clear text 530 5.7.0 answers all but EHLO, STARTTLS, NOOP, QUIT and RSET (RFC 3207 §4)", async () => {
  const refused = [
    "MAIL FROM:<ada@here.test>",
    "RCPT TO:<ada@here.test>",
    "DATA",
    "BDAT 0 LAST",
    "AUTH PLAIN AGFkYQBndWVzcw==",
    "AUTH LOGIN",
    "VRFY ada",
  ];
  assert.deepEqual(await inClear(...refused), Array(refused.length).fill("530 5.7.0"));
  assert.deepEqual(await inClear("HELO a", "HELP", "EXPN x", "ETRN x"), Array(4).fill("530 5.7.0"));
  assert.deepEqual(await inClear("NOOP", "RSET", "EHLO again.test", "QUIT"), [
    "250 2.0.0",
    "250 2.0.0",
    "250 FUTURERELEASE",
    "221 2.0.0",
  ]);
});

test("a connection anew is in clear text again, whatever the one before had reached", async () => {
  const client = createClient({
    host: "127.0.0.1",
    port: node.ports.submission,
    verify: "nothing",
    auth: { user: USER, password: PASSWORD },
  });
  for (let connection = 0; connection < 2; connection++) {
    assert.equal((await client.verify()).ok, true);
    await client.close();
    assert.deepEqual(await inClear(`MAIL FROM:<${USER}>`, "AUTH LOGIN"), ["530 5.7.0", "530 5.7.0"]);
  }
});

test("the log tells who logged in, and how", async () => {
  const loggedIn = () => node.log.filter(({ event }) => event === "session.authenticated");
  for (const mechanism of ["PLAIN", "LOGIN", "SCRAM-SHA-256"]) {
    const count = loggedIn().length + 1;
    assert.equal(await login(node.ports.submissions, [mechanism]), "in");
    await logged(node, "session.authenticated", { count });
    const last = loggedIn().at(-1);
    assert.deepEqual([last?.identity, last?.mechanism], [USER, mechanism]);
  }
});

test("while somebody has the users file locked a login waits, and no other session; one that is not let in is told to come again", async () => {
  const other = new DatabaseSync(join(node.folder, "data", "users.sqlite"));
  try {
    other.exec("BEGIN EXCLUSIVE");
    const logins = [login(node.ports.submissions), login(node.ports.submissions, ["PLAIN"])];
    let longest = 0;
    for (const until = performance.now() + 1500; performance.now() < until; ) {
      const begun = performance.now();
      const talk = await Talk.open(node.ports.mx);
      await talk.say("NOOP");
      longest = Math.max(longest, performance.now() - begun);
      talk.close();
    }
    assert.ok(longest < 1000, `a session waited for ${Math.round(longest)} ms`);
    other.exec("COMMIT");
    assert.deepEqual(await Promise.all(logins), ["in", "in"]);
    other.exec("BEGIN EXCLUSIVE");
    assert.equal(await login(node.ports.submissions), "refused 454");
    other.exec("COMMIT");
    assert.equal(await login(node.ports.submissions), "in");
  } finally {
    other.close();
  }
});
