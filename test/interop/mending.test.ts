// What stock clients leave undone, a real daemon puts right on the way; Bcc never leaves it, whoever sends it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import nodemailer from "nodemailer";
import { type DnsServer, dnsServer } from "../../src/testing/index.ts";
import { freePorts, type Node, startNode } from "../node.ts";
import { Talk } from "../scenarios/talk.ts";
import { needs, program } from "./peers.ts";

const swaks = await needs("swaks");
const python3 = await needs("python3");

const PASSWORD = "correct horse battery staple";
const SECRET = "hidden@there.test";

describe("what users' programs leave undone", () => {
  let dns: DnsServer;
  let receiver: Node;
  let sender: Node;

  before(async () => {
    const [port = 0] = await freePorts(1);
    dns = await dnsServer({
      "there.test": { mx: [{ preference: 10, exchange: "mx.there.test" }] },
      "mx.there.test": { a: ["127.0.0.1"] },
      "null.test": { mx: [{ preference: 0, exchange: "" }] },
      "nothing.test": { txt: ["no mail here"] },
      "broken.test": "servfail",
    });
    receiver = await startNode({ hostname: "mx.there.test", domains: ["there.test"], mxPort: port });
    sender = await startNode({
      hostname: "submit.here.test",
      domains: ["here.test"],
      users: { "ada@here.test": PASSWORD, bob: PASSWORD },
      config: [
        `[submission]\nhide_client = true`,
        `[delivery]\nport = ${port}`,
        `[dns]\nservers = ["${dns.address}"]\n`,
      ].join("\n"),
    });
  });
  after(async () => {
    await sender?.[Symbol.asyncDispose]();
    await receiver?.[Symbol.asyncDispose]();
    await dns?.close();
  });

  async function arrived(user: string): Promise<string> {
    const [file = ""] = await receiver.mailArrives(user, 1);
    assert.doesNotMatch(file, /^bcc/im, "Bcc left this server");
    assert.ok(!file.includes(SECRET), "a hidden recipient was told");
    assert.equal(file.match(/^Date:/gm)?.length, 1);
    assert.equal(file.match(/^Message-ID:/gim)?.length, 1);
    assert.match(file, /^From:.*ada@here\.test/m);
    return file;
  }

  test("smtplib: a text without a header section", python3, async () => {
    const script = `
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=20, local_hostname="adas-laptop.lan") as client:
    client.starttls(context=context)
    client.login("ada@here.test", sys.argv[3])
    client.sendmail("ada@here.test", ["plain@there.test"], "Hello there")
    client.sendmail("ada@here.test", ["blind@there.test", "hidden@there.test"],
        "From: Ada <ada>\\nTo: blind@there.test\\nBcc: hidden@there.test\\nSubject: x\\n\\ntext\\n")
    for text, code in (("From: boss@here.test\\n\\nx", 550), ("From: ada\\nFrom: ada\\n\\nx", 554), ("Subject: caf\\u00e9\\n\\nx", 554)):
        try:
            client.sendmail("ada@here.test", ["no@there.test"], text.encode("utf-8"))
        except smtplib.SMTPDataError as error:
            assert error.smtp_code == code, error
        else:
            raise AssertionError("taken: " + text)
`;
    const port = String(sender.ports.submission);
    const ran = await program("python3", ["-c", script, port, `${sender.folder}/cert.pem`, PASSWORD]);
    assert.equal(ran.code, 0, ran.stderr);
    const plain = await arrived("plain");
    assert.ok(plain.endsWith("\r\n\r\nHello there\r\n"), plain);
    const blind = await arrived("blind");
    assert.match(blind, /^From: Ada <ada@here\.test>\r$/m);
    assert.ok(blind.endsWith("To: blind@there.test\r\nSubject: x\r\n\r\ntext\r\n"), blind);
    const [hidden = ""] = await receiver.mailArrives("hidden", 1);
    assert.doesNotMatch(hidden, /^bcc/im, "nor is its own copy told");
    for (const file of [plain, blind]) assert.ok(!file.includes("adas-laptop"), "the client is hidden");
    const [, first = ""] = plain.split(/^(?=Received:)/m).slice(1);
    assert.match(first, /^Received: \(using TLSv1\.3[^)]*\)[\s\S]*?by submit\.here\.test/);
    assert.doesNotMatch(first.split(/\r\n(?=\S)/)[0] ?? "", /127\.0\.0\.1/);
  });

  test("swaks: Bcc in several spellings", swaks, async () => {
    const ran = await program("swaks", [
      ...["--server", `127.0.0.1:${sender.ports.submission}`, "--tls", "--auth", "PLAIN"],
      ...["--auth-user", "ada@here.test", "--auth-password", PASSWORD],
      ...["--from", "ada@here.test", "--to", "swaks@there.test"],
      ...[
        "--data",
        `From: ada\\nBCC : ${SECRET}\\nTo: swaks@there.test\\nbcc:\\n ${SECRET}\\nSubject: x\\n\\nby swaks\\n`,
      ],
    ]);
    assert.equal(ran.code, 0, ran.stdout);
    assert.match(await arrived("swaks"), /\r\n\r\nby swaks\r\n/);
  });

  test("nodemailer, told to keep Bcc", async () => {
    const transport = nodemailer.createTransport({
      ...{ host: "127.0.0.1", port: sender.ports.submissions, secure: true },
      auth: { user: "ada@here.test", pass: PASSWORD },
      tls: { rejectUnauthorized: false },
    });
    const raw = `From: Ada <ada@here.test>\r\nTo: mailer@there.test\r\nBcc: ${SECRET}\r\nSubject: x\r\n\r\nby nodemailer\r\n`;
    const envelope = { from: "ada@here.test", to: ["mailer@there.test"] };
    await transport.sendMail({ envelope, raw });
    transport.close();
    assert.match(await arrived("mailer"), /\r\n\r\nby nodemailer\r\n/);
  });

  test("senders and recipients' domains are judged before the message", async () => {
    const talk = await Talk.openSecure(sender.ports.submissions);
    await talk.say("EHLO client.test");
    await talk.say(`AUTH PLAIN ${Buffer.from(`\0bob\0${PASSWORD}`).toString("base64")}`);
    for (const [line, reply] of [
      ["MAIL FROM:<ada@here.test>", /^550 5\.7\.1 /],
      ["MAIL FROM:<bob+lists@here.test>", /^250 /],
      ["RCPT TO:<x@null.test>", /^556 5\.1\.10 /],
      ["RCPT TO:<x@missing.test>", /^550 5\.1\.2 /],
      ["RCPT TO:<x@nothing.test>", /^550 5\.1\.2 /],
      ["RCPT TO:<x@broken.test>", /^250 /],
      ["RCPT TO:<x@there.test>", /^250 /],
      ["RCPT TO:<x@here.test>", /^250 /],
      ["RSET", /^250 /],
      ["MAIL FROM:<>", /^250 /],
    ] as const) {
      assert.match((await talk.say(line)) ?? "", reply, line);
    }
    talk.close();
  });
});
