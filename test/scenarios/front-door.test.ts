import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

describe("what the daemon takes at its front door", () => {
  let node: Node;
  before(async () => {
    node = await startNode({
      domains: ["open.test"],
      users: { "ada@open.test": "password of ada" },
      config: `[[domain]]\nname = "listed.test"\ndeliver = "maildir:data/mail/{user}"\nrecipients = ["bob"]\n`,
    });
  });
  after(() => node?.[Symbol.asyncDispose]());

  test("mail for nobody is refused before its body, to servers and to users, never the postmaster's", async () => {
    const server = await Talk.open(node.ports.mx);
    await server.say("EHLO client.test");
    await server.say("MAIL FROM:<a@client.test>");
    const user = await Talk.openSecure(node.ports.submissions);
    await user.say("EHLO client.test");
    await user.say(`AUTH PLAIN ${Buffer.from("\0ada@open.test\0password of ada").toString("base64")}`);
    await user.say("MAIL FROM:<ada@open.test>");
    for (const talk of [server, user]) {
      assert.match((await talk.say("RCPT TO:<nobody@listed.test>")) ?? "", /^550 5\.1\.1 /);
      assert.match((await talk.say("RCPT TO:<bob@listed.test>")) ?? "", /^250 /);
      assert.match((await talk.say("RCPT TO:<postmaster@listed.test>")) ?? "", /^250 /);
      talk.close();
    }
  });

  test("a bare LF of another server is refused, and what it hides is no message; a user's is mended", async () => {
    const body = "Subject: x\r\n\r\none\n.\r\nMAIL FROM:<forged@client.test>\ntwo\r\n.\r\n";
    const server = await Talk.open(node.ports.mx);
    await server.say("EHLO client.test");
    await server.say("MAIL FROM:<a@client.test>");
    await server.say("RCPT TO:<bob@open.test>");
    assert.match((await server.say("DATA")) ?? "", /^354/);
    server.send(body);
    assert.match((await server.reply()) ?? "", /^5\d\d 5\.6\.0 /);
    assert.match((await server.say("NOOP")) ?? "", /^250 /, "one reply, one message");
    server.close();
    const user = await Talk.openSecure(node.ports.submissions);
    await user.say("EHLO client.test");
    await user.say(`AUTH PLAIN ${Buffer.from("\0ada@open.test\0password of ada").toString("base64")}`);
    await user.say("MAIL FROM:<ada@open.test>");
    await user.say("RCPT TO:<bob@open.test>");
    await user.say("DATA");
    user.send(`From: ada@open.test\r\n${body}`);
    assert.match((await user.reply()) ?? "", /^250 /);
    const [mail = "", ...more] = await node.mailArrives("bob", 1);
    assert.deepEqual(more, []);
    assert.match(mail, /\r\none\r\n\.\r\nMAIL FROM:<forged@client\.test>\r\ntwo\r\n$/);
    user.close();
  });
});
