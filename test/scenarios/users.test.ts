// Users of a running daemon, as an operator changes them beside it: what a session that is open already notices.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { logged, type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

const PASSWORD = "correct horse battery staple";

function plain(user: string, password: string): string {
  return `AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString("base64")}`;
}

describe("users beside a running daemon", () => {
  let node: Node;

  before(async () => {
    node = await startNode({
      domains: ["here.test"],
      users: { ada: PASSWORD, bob: PASSWORD },
      config: "[submission.limits]\nmessages_per_hour = 3\nsessions = 2\n",
    });
  });
  after(() => node?.[Symbol.asyncDispose]());

  async function open(user: string, password = PASSWORD): Promise<{ talk: Talk; code: string }> {
    const talk = await Talk.openSecure(node.ports.submissions);
    await talk.say("EHLO client.test");
    const reply = await talk.say(plain(user, password));
    return { talk, code: reply?.slice(0, 3) ?? "gone" };
  }

  const codeOf = async (talk: Talk, line: string): Promise<string> => (await talk.say(line))?.slice(0, 3) ?? "gone";

  async function done(...args: string[]): Promise<string> {
    const ran = await node.command("user", ...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout;
  }

  /** One message from ada to bob: the code of its end, or of what was refused before. */
  async function send(talk: Talk): Promise<string | null> {
    for (const line of ["MAIL FROM:<ada@here.test>", "RCPT TO:<bob@here.test>"]) {
      const reply = await talk.say(line);
      if (!reply?.startsWith("250")) return reply;
    }
    await talk.say("DATA");
    return await talk.say("From: ada@here.test\r\n\r\nhello\r\n.");
  }

  test("an alias counts at the next MAIL, and is gone when it is removed", async () => {
    const { talk, code } = await open("ada");
    assert.equal(code, "235");
    assert.equal(await codeOf(talk, "MAIL FROM:<sales@here.test>"), "550");
    await done("alias", "add", "ada", "sales@here.test");
    assert.equal(await codeOf(talk, "MAIL FROM:<sales@here.test>"), "250");
    assert.deepEqual(JSON.parse(await done("alias", "list", "ada", "--json")), ["sales@here.test"]);
    await done("alias", "remove", "ada", "sales@here.test");
    await talk.say("RSET");
    assert.equal(await codeOf(talk, "MAIL FROM:<sales@here.test>"), "550");
    talk.close();
  });

  test("a limit is told with when to try again, counts over a restart, and a user's own one at once", async () => {
    const { talk } = await open("ada");
    for (let i = 0; i < 3; i++) assert.match((await send(talk)) ?? "", /^250/);
    assert.match((await send(talk)) ?? "", /^450 4\.7\.1 You may send 3 messages an hour; try again in \d+ minutes$/);
    talk.close();
    await node.kill("SIGTERM");
    await node.start();
    const again = (await open("ada")).talk;
    assert.match((await send(again)) ?? "", /^450 4\.7\.1 /);
    await done("limit", "ada", "messages_per_hour=5");
    assert.match((await send(again)) ?? "", /^250/);
    assert.deepEqual(JSON.parse(await done("limit", "ada", "--json")), { messages_per_hour: 5 });
    await done("limit", "ada", "messages_per_hour=default");
    assert.match((await send(again)) ?? "", /^450/);
    await logged(node, "intake.limit.reached", { count: 3 });
    assert.equal(node.log.filter(({ event }) => event === "intake.limit.reached").length, 3);
    again.close();
  });

  test("a third session of one user is refused, and let in when another ends", async () => {
    const [one, two] = [await open("bob"), await open("bob")];
    assert.deepEqual([one.code, two.code], ["235", "235"]);
    const third = await open("bob");
    assert.equal(third.code, "421");
    one.talk.send("QUIT\r\n");
    while ((await one.talk.reply()) !== null);
    const fourth = await open("bob");
    assert.equal(fourth.code, "235");
    for (const { talk } of [one, two, third, fourth]) talk.close();
  });

  test("app passwords, a new password, and being disabled or removed take effect at once", async () => {
    const app = (await done("app-password", "add", "ada", "phone")).trim();
    const first = await open("ada", app);
    assert.equal(first.code, "235");
    first.talk.close();
    const listed: unknown = JSON.parse(await done("app-password", "list", "ada", "--json"));
    assert.ok(Array.isArray(listed) && listed.length === 1 && typeof listed[0].used === "string");
    await done("app-password", "remove", "ada", "phone");
    const removed = await open("ada", app);
    assert.equal(removed.code, "535");
    removed.talk.close();

    const changed = await node.command("user", "passwd", "ada", "--password-stdin", { stdin: "another secret\n" });
    assert.equal(changed.code, 0, changed.stderr);
    const stale = await open("ada");
    assert.equal(stale.code, "535");
    stale.talk.close();
    const { talk, code } = await open("ada", "another secret");
    assert.equal(code, "235");
    await done("disable", "ada");
    assert.equal(await codeOf(talk, "MAIL FROM:<ada@here.test>"), "550");
    const barred = await open("ada", "another secret");
    assert.equal(barred.code, "535");
    barred.talk.close();
    assert.match(await done("list", "--long"), /^ada \(disabled \d{4}-/m);
    await done("enable", "ada");
    await done("limit", "ada", "messages_per_hour=none");
    assert.equal(await codeOf(talk, "MAIL FROM:<ada@here.test>"), "250");
    await done("remove", "ada");
    await talk.say("RSET");
    assert.equal(await codeOf(talk, "MAIL FROM:<ada@here.test>"), "550");
    talk.close();
  });

  test("what cannot be done is one line and a code", async () => {
    for (const [args, code] of [
      [["passwd", "bob"], 2],
      [["disable", "eve"], 1],
      [["alias", "add", "bob", "nobody"], 1],
      [["alias", "add", "eve", "a@here.test"], 1],
      [["alias", "remove", "bob", "a@here.test"], 1],
      [["alias", "list", "eve"], 1],
      [["limit", "bob", "messages=5"], 2],
      [["limit", "eve", "sessions=5"], 1],
      [["app-password", "remove", "bob", "phone"], 1],
      [["app-password", "add", "eve", "phone"], 1],
    ] as const) {
      const ran = await node.command("user", ...args);
      assert.equal(ran.code, code, args.join(" "));
      assert.match(ran.stderr, /^postern: [^\n]+\n$/, args.join(" "));
      assert.equal(ran.stdout, "");
    }
  });
});
