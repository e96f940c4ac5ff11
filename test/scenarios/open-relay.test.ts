import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

describe("who may send where", () => {
  let strict: Node;
  let trusting: Node;
  before(async () => {
    strict = await startNode({ domains: ["here.test"], users: { "ada@here.test": "password of ada" } });
    trusting = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:1"\n`,
    });
  });
  after(async () => {
    await strict?.[Symbol.asyncDispose]();
    await trusting?.[Symbol.asyncDispose]();
  });

  test("mx takes mail for its domains and refuses a stranger's for elsewhere", async () => {
    const talk = await Talk.open(strict.ports.mx);
    await talk.say("EHLO client.test");
    await talk.say("MAIL FROM:<a@client.test>");
    for (const path of [
      "<x@elsewhere.test>",
      "<@here.test:x@elsewhere.test>",
      "<x%elsewhere.test@other.test>",
      "<x@[127.0.0.1]>",
    ]) {
      assert.match((await talk.say(`RCPT TO:${path}`)) ?? "", /^550 5\.7\.1 /, path);
    }
    for (const path of ["<x@here.test>", "<X@HERE.TEST>", "<postmaster>", "<Postmaster@here.test>"]) {
      assert.match((await talk.say(`RCPT TO:${path}`)) ?? "", /^250 2\.1\.5 /, path);
    }
    talk.close();
  });

  test("mx does not offer AUTH, in clear text or over TLS", async () => {
    const talk = await Talk.open(strict.ports.mx);
    assert.doesNotMatch((await talk.say("EHLO client.test")) ?? "", /AUTH/);
    await talk.secure();
    assert.doesNotMatch((await talk.say("EHLO client.test")) ?? "", /AUTH/);
    talk.close();
  });

  test("mx relays for the networks named", async () => {
    const talk = await Talk.open(trusting.ports.mx);
    await talk.say("EHLO client.test");
    await talk.say("MAIL FROM:<a@client.test>");
    assert.match((await talk.say("RCPT TO:<x@elsewhere.test>")) ?? "", /^250 /);
    talk.close();
  });

  test("submission demands TLS first, then AUTH", async () => {
    const talk = await Talk.open(strict.ports.submission);
    const hello = await talk.say("EHLO client.test");
    assert.match(hello ?? "", /STARTTLS/);
    assert.doesNotMatch(hello ?? "", /AUTH/);
    for (const line of [
      "MAIL FROM:<a@here.test>",
      "AUTH PLAIN AGEAYg==",
      "VRFY ada",
      "RCPT TO:<a@here.test>",
      "DATA",
    ]) {
      assert.match((await talk.say(line)) ?? "", /^530 5\.7\.0 /, line);
    }
    await talk.secure();
    assert.match((await talk.say("MAIL FROM:<a@here.test>")) ?? "", /^503 /, "EHLO has to come again");
    const again = await talk.say("EHLO client.test");
    assert.match(again ?? "", /AUTH [A-Z0-9 -]*PLAIN/);
    assert.doesNotMatch(again ?? "", /STARTTLS/);
    assert.match((await talk.say("MAIL FROM:<a@here.test>")) ?? "", /^530 5\.7\.0 /);
    assert.match((await talk.say("STARTTLS")) ?? "", /^503 /);
    const credentials = Buffer.from("\0ada@here.test\0password of ada").toString("base64");
    assert.match((await talk.say(`AUTH PLAIN ${credentials}`)) ?? "", /^235 2\.7\.0 /);
    assert.match((await talk.say("MAIL FROM:<ada@here.test>")) ?? "", /^250 /);
    talk.close();
  });

  test("a bare newline is refused on mx and repaired on submission", async () => {
    const smuggled = "Subject: x\r\n\r\nbefore\n.\nMAIL FROM:<evil@test>\r\nafter\r\n.\r\n";
    const mx = await Talk.open(strict.ports.mx);
    for (const line of ["EHLO client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<bare@here.test>", "DATA"])
      await mx.say(line);
    mx.send(smuggled);
    assert.match((await mx.reply()) ?? "", /^5\d\d 5\.6\.0 /);
    mx.close();

    const submission = await Talk.open(strict.ports.submission);
    await submission.say("EHLO client.test");
    await submission.secure();
    await submission.say("EHLO client.test");
    const credentials = Buffer.from("\0ada@here.test\0password of ada").toString("base64");
    await submission.say(`AUTH PLAIN ${credentials}`);
    for (const line of ["MAIL FROM:<ada@here.test>", "RCPT TO:<bare@here.test>", "DATA"]) await submission.say(line);
    submission.send(smuggled);
    assert.match((await submission.reply()) ?? "", /^250 2\.0\.0 /);
    submission.close();
    const mail = await strict.mailArrives("bare", 1);
    assert.equal(mail.length, 1);
    assert.ok(mail[0]?.endsWith("before\r\n.\r\nMAIL FROM:<evil@test>\r\nafter\r\n"), mail[0]);
  });
});
