// Users who are Dovecot's log in to Postern, by its auth socket and by TCP, over its restart, and while it is away.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createDovecotSource } from "../../src/credentials/index.ts";
import { systemClock } from "../../src/net/index.ts";
import { freePorts, startNode } from "../node.ts";
import { Talk } from "../scenarios/talk.ts";
import { startDovecot } from "./dovecot.ts";
import { needs } from "./peers.ts";

const dovecot = await needs("dovecot");

const PASSWORD = "correct horse bättery";
const USERS = { ada: "secret of ada", "bob@here.test": "secret of bob" };

const CONTEXT = { session: "s1", address: "192.0.2.7", port: 40_000, localAddress: "127.0.0.1", localPort: 587 };

test("a real Dovecot's answers are understood, many at once, by socket and by TCP", dovecot, async () => {
  const [port = 0] = await freePorts(1);
  await using server = await startDovecot({ ...USERS, eve: PASSWORD }, port);
  for (const at of [{ path: server.socket }, { host: "127.0.0.1", port }]) {
    const source = createDovecotSource({ at, clock: systemClock });
    const asked = Array.from({ length: 40 }, (_, i) =>
      i % 2 === 0
        ? source.verify("ADA", "secret of ada", CONTEXT)
        : source.verify("bob@here.test", `wrong ${i}`, CONTEXT),
    );
    const answers = await Promise.all(asked);
    for (const [i, answer] of answers.entries()) {
      assert.deepEqual(answer, i % 2 === 0 ? { kind: "verified", identity: "ada" } : { kind: "refused" });
    }
    assert.equal((await source.verify("eve", PASSWORD, CONTEXT)).kind, "verified");
    assert.equal((await source.verify("nobody", "x", CONTEXT)).kind, "refused");
    source.close();
  }
});

test("its users submit through Postern; while it is away they are told to come later", dovecot, async () => {
  const [port = 0] = await freePorts(1);
  await using server = await startDovecot(USERS, port);
  const config = `[auth]\nsource = "dovecot:${server.socket}"\n`;
  await using node = await startNode({ domains: ["here.test"], config });
  const login = async (user: string, password: string): Promise<string> => {
    const talk = await Talk.openSecure(node.ports.submissions);
    const offered = await talk.say("EHLO client.test");
    assert.match(offered ?? "", /AUTH PLAIN LOGIN$/m, "no SCRAM: Dovecot tells nobody its keys");
    const reply = await talk.say(`AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString("base64")}`);
    const mail = reply?.startsWith("235") ? await talk.say("MAIL FROM:<ada@here.test>") : null;
    talk.close();
    return `${reply?.slice(0, 9)}${mail === null ? "" : ` ${mail.slice(0, 3)}`}`;
  };
  await server.stop();
  assert.equal(await login("ada", "secret of ada"), "454 4.7.0");
  await server.start();
  assert.equal(await login("ada", "secret of ada"), "235 2.7.0 250");
  assert.equal(await login("bob@here.test", "secret of bob"), "235 2.7.0 550", "ada's address is not bob's");
  assert.equal(await login("ada", "secret of bob"), "535 5.7.8");
  await server.stop();
  await server.start();
  assert.equal(await login("ada", "secret of ada"), "235 2.7.0 250", "over a restart");
  const refused = await node.command("user", "list");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^postern: users are kept elsewhere [^\n]+\n$/);
});
