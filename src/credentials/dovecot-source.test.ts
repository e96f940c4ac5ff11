import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { SECOND } from "../base/index.ts";
import type { CredentialSource } from "../intake/index.ts";
import { type FakeClock, fakeClock } from "../testing/index.ts";
import { escapeDovecot, parseDovecotLine } from "./dovecot-lines.ts";
import { createDovecotSource } from "./dovecot-source.ts";

const CONTEXT = { session: "s\t1", address: "192.0.2.7", port: 40_000, localAddress: "192.0.2.25", localPort: 587 };
const HELLO = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t7\nCUID\t1\nCOOKIE\tab\nDONE\n";

let time: FakeClock;
let closing: (() => void)[];

beforeEach(() => {
  time = fakeClock();
  closing = [];
});

afterEach(() => {
  for (const close of closing) close();
});

interface Scripted {
  readonly source: CredentialSource;
  readonly connections: readonly Socket[];
  /** Lines that came, of all connections. */
  readonly lines: readonly string[];
}

/** A server that says `hello`, and to each line what `answer` gives. */
async function scripted(answer: (line: string, socket: Socket) => string, hello = HELLO): Promise<Scripted> {
  const connections: Socket[] = [];
  const lines: string[] = [];
  const server = createServer((socket) => {
    connections.push(socket);
    socket.on("error", () => {});
    socket.write(hello);
    let rest = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        lines.push(line);
        const said = line.startsWith("AUTH\t") ? answer(line, socket) : "";
        if (said !== "" && !socket.destroyed) socket.write(said);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const source = createDovecotSource({ at: { host: "127.0.0.1", port: address.port }, clock: time.clock });
  closing.push(() => {
    source.close();
    for (const socket of connections) socket.destroy();
    server.close();
  });
  return { source, connections, lines };
}

const idOf = (line: string): string => line.split("\t")[1] ?? "";
const ok = (line: string, user = "ann"): string => `OK\t${idOf(line)}\tuser=${user}\n`;

test("a login is asked of Dovecot over one connection, and its name for the user is the identity", async () => {
  const { source, connections, lines } = await scripted((line) => ok(line, "Ann@Here.test"));
  assert.equal(source.scram, undefined);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(await source.verify("ann", "a\tb", CONTEXT), { kind: "verified", identity: "ann@here.test" });
  }
  assert.equal(connections.length, 1);
  assert.match(lines[0] ?? "", /^VERSION\t1\t\d+$/);
  assert.equal(lines[1], `CPID\t${process.pid}`);
  const resp = Buffer.from("\0ann\0a\tb").toString("base64");
  const [, id, ...request] = (lines[2] ?? "").split("\t");
  assert.match(id ?? "", /^[1-9]\d*$/);
  assert.deepEqual(request, [
    ...["PLAIN", "service=smtp", "session=s\u0001t1", "lip=192.0.2.25", "rip=192.0.2.7", "lport=587", "rport=40000"],
    ...["secured", `resp=${resp}`],
  ]);
  assert.deepEqual(await source.verify("an\0n", "x", CONTEXT), { kind: "refused" });
  assert.deepEqual(await source.verify("ann", "x\0y", CONTEXT), { kind: "refused" });
  assert.equal(lines.length, 5, "what PLAIN cannot say is not asked");
});

test("answers find their question in any order", async () => {
  const held: string[] = [];
  const { source } = await scripted((line) => {
    held.push(line);
    if (held.length < 3) return "";
    const [one = "", two = "", three = ""] = held;
    return `${ok(three, "three")}OK\t999\tuser=nobody\nFAIL\t${idOf(one)}\tuser=one\n${ok(two, "two")}`;
  });
  const answers = await Promise.all(["one", "two", "three"].map((name) => source.verify(name, "x", CONTEXT)));
  assert.deepEqual(answers, [
    { kind: "refused" },
    { kind: "verified", identity: "two" },
    { kind: "verified", identity: "three" },
  ]);
});

test("what Dovecot cannot find out is no refusal, and nologin is one", async () => {
  const said = [
    "FAIL\tID\tuser=ann\ttemp\treason=no\u0001tSQL",
    "FAIL\tID\tcode=temp_fail",
    "CONT\tID\tabc",
    "OK\tID",
    "OK\tID\tuser=a b",
  ];
  const { source } = await scripted(
    (line) => `${(said.shift() ?? "OK\tID\tuser=ann\tnologin").replace("ID", idOf(line))}\n`,
  );
  for (let i = said.length; i > 0; i--) {
    await assert.rejects(source.verify("ann", "s3cret", CONTEXT), (error: Error) => !error.message.includes("s3cret"));
  }
  assert.deepEqual(await source.verify("ann", "x", CONTEXT), { kind: "refused" });
});

test("a Dovecot that was started anew is asked again, once; one that always hangs up is trouble", async () => {
  let dies = false;
  const { source, connections } = await scripted((line, socket) => {
    if (!dies) return ok(line);
    socket.destroy();
    return "";
  });
  await source.verify("ann", "x", CONTEXT);
  connections[0]?.destroy();
  assert.equal((await source.verify("ann", "x", CONTEXT)).kind, "verified");
  dies = true;
  const before = connections.length;
  await assert.rejects(source.verify("ann", "x", CONTEXT), /closed the connection/);
  assert.ok(connections.length - before <= 2);
});

for (const [what, hello, problem] of [
  ["another version", "VERSION\t2\t0\n", /version 2/],
  ["no PLAIN", "VERSION\t1\t2\nMECH\tGSSAPI\nDONE\n", /does not take PLAIN/],
  ["a line without end", `VERSION\t1\t2\n${"x".repeat(20_000)}`, /no end/],
  ["an answer without an id", `${HELLO}OK\tx\tuser=ann\n`, /without an id/],
] as const) {
  test(`a server that says ${what} is trouble, not a yes`, async () => {
    const { source } = await scripted(() => "", hello);
    await assert.rejects(source.verify("ann", "x", CONTEXT), problem);
  });
}

test("a server that is silent is waited for no longer than 20 seconds, then asked anew", async () => {
  let mute = true;
  const { source, lines } = await scripted((line) => (mute ? "" : ok(line)));
  const asked = source.verify("ann", "x", CONTEXT);
  const settled = asked.then(
    () => "verified",
    () => "failed",
  );
  while (lines.length < 3) await new Promise((resolve) => setImmediate(resolve));
  mute = false;
  time.advance(20 * SECOND);
  assert.equal(await settled, "failed");
  assert.equal((await source.verify("ann", "x", CONTEXT)).kind, "verified");
});

test("tabs and line ends are escaped, and read back", () => {
  assert.equal(escapeDovecot("a\tb\nc\rd\0e\u0001f"), "a\u0001tb\u0001nc\u0001rd\u00010e\u00011f");
  const line = parseDovecotLine(`OK\t5\tuser=${escapeDovecot("a\tb\u0001")}`);
  assert.deepEqual(line.ok && line.value, { kind: "answer", id: 5, answer: { kind: "ok", user: "a\tb\u0001" } });
});

test("a login that Dovecot takes too long over is trouble of its own, and none of those beside it", async () => {
  const held: string[] = [];
  const { source, connections, lines } = await scripted((line, socket) => {
    held.push(line);
    if (held.length === 3) setImmediate(() => socket.write(ok(line, "quick")));
    return held.length === 2 ? ok(line, "between") : "";
  });
  const slow = source.verify("slow", "x", CONTEXT).catch((error: Error) => error.message);
  assert.equal((await source.verify("between", "x", CONTEXT)).kind, "verified");
  time.advance(19 * SECOND);
  const quick = source.verify("quick", "x", CONTEXT);
  time.advance(2 * SECOND);
  assert.match(String(await slow), /does not answer/);
  assert.deepEqual(await quick, { kind: "verified", identity: "quick" });
  assert.deepEqual([connections.length, lines.length], [1, 5]);
});
