// Stock clients submit; the mail goes over two Posterns into a Maildir, byte for byte what was sent plus trace fields.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import nodemailer from "nodemailer";
import { type Node, postern, startNode } from "../node.ts";
import { needs, program } from "./peers.ts";

const swaks = await needs("swaks");
const msmtp = await needs("msmtp");
const python3 = await needs("python3");

const PASSWORD = "correct horse battery staple";

describe("stock clients submit, two Posterns carry it", () => {
  let receiver: Node;
  let sender: Node;

  before(async () => {
    receiver = await startNode({ hostname: "mx.there.test", domains: ["there.test"] });
    sender = await startNode({
      hostname: "submit.here.test",
      domains: ["here.test"],
      users: { "ada@here.test": PASSWORD },
      config: `[[route]]\nmatch = "there.test"\nvia = "smtp://127.0.0.1:${receiver.ports.mx}"\ntls = "encrypted"\n`,
    });
  });
  after(async () => {
    await sender?.[Symbol.asyncDispose]();
    await receiver?.[Symbol.asyncDispose]();
  });

  /** The one message of a user, taken apart at the header of what was sent. */
  async function arrived(user: string, sent: string): Promise<{ readonly trace: string }> {
    const [file = ""] = await receiver.mailArrives(user, 1);
    assert.equal(file.slice(-sent.length), sent, "the message is not what was sent");
    return { trace: file.slice(0, -sent.length) };
  }

  function assertJourney(trace: string, first: "ESMTPSA"): void {
    assert.match(trace, /^Return-Path: <ada@here\.test>\r\n/);
    const fields = trace.split(/\r\n(?=\S)/);
    const received = fields.filter((field) => field.startsWith("Received:"));
    assert.equal(received.length, 2);
    assert.match(received[0] ?? "", /by mx\.there\.test[\s\S]*with ESMTPS\b/);
    assert.match(received[1] ?? "", new RegExp(`by submit\\.here\\.test[\\s\\S]*with ${first}\\b`));
    for (const field of received) assert.match(field, /TLSv1\.3/);
  }

  const message = (user: string): string =>
    [
      "From: Ada <ada@here.test>",
      `To: ${user}@there.test`,
      `Subject: journey of ${user}`,
      "Date: Sun, 22 Nov 2026 10:00:00 +0000",
      `Message-ID: <${user}@here.test>`,
      "",
      "A body with a dot line:",
      ".",
      "..and two.",
      "Trailing space ",
      "",
      "the end",
      "",
    ].join("\r\n");

  test("swaks over STARTTLS with PLAIN", swaks, async () => {
    const sent = message("swaks");
    const file = join(sender.folder, "swaks.eml");
    await writeFile(file, sent);
    const ran = await program("swaks", [
      ...["--server", `127.0.0.1:${sender.ports.submission}`, "--tls", "--auth", "PLAIN"],
      ...["--auth-user", "ada@here.test", "--auth-password", PASSWORD],
      ...["--from", "ada@here.test", "--to", "swaks@there.test", "--data", `@${file}`],
    ]);
    assert.equal(ran.code, 0, ran.stdout);
    // swaks writes the file's octets and a newline of its own behind them.
    const [received = ""] = await receiver.mailArrives("swaks", 1);
    assert.ok(received.trimEnd().endsWith(sent.trimEnd()), received);
    assertJourney(received.slice(0, received.indexOf("From: Ada")), "ESMTPSA");
  });

  test("swaks over implicit TLS with LOGIN", swaks, async () => {
    const ran = await program("swaks", [
      ...["--server", `127.0.0.1:${sender.ports.submissions}`, "--tls-on-connect", "--auth", "LOGIN"],
      ...["--auth-user", "ada@here.test", "--auth-password", PASSWORD],
      ...["--from", "ada@here.test", "--to", "login@there.test", "--body", "by LOGIN"],
    ]);
    assert.equal(ran.code, 0, ran.stdout);
    const [received = ""] = await receiver.mailArrives("login", 1);
    assert.match(received, /by LOGIN/);
  });

  test("swaks without TLS and with a wrong password is refused", swaks, async () => {
    const clear = await program("swaks", [
      ...["--server", `127.0.0.1:${sender.ports.submission}`, "--from", "ada@here.test", "--to", "no@there.test"],
    ]);
    assert.notEqual(clear.code, 0);
    assert.match(clear.stdout, /<\*\* 530 5\.7\.0/);
    const wrong = await program("swaks", [
      ...["--server", `127.0.0.1:${sender.ports.submission}`, "--tls", "--auth", "PLAIN"],
      ...["--auth-user", "ada@here.test", "--auth-password", "guess"],
      ...["--from", "ada@here.test", "--to", "no@there.test"],
    ]);
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stdout, /535 5\.7\.8/);
  });

  test("Python's smtplib over STARTTLS", python3, async () => {
    const sent = message("smtplib");
    const script = `
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=20) as client:
    client.starttls(context=context)
    client.login("ada@here.test", sys.argv[3])
    refused = client.sendmail("ada@here.test", ["smtplib@there.test"], sys.stdin.buffer.read())
    assert not refused, refused
`;
    const ran = await program(
      "python3",
      ["-c", script, String(sender.ports.submission), join(sender.folder, "cert.pem"), PASSWORD],
      sent,
    );
    assert.equal(ran.code, 0, ran.stderr);
    assertJourney((await arrived("smtplib", sent)).trace, "ESMTPSA");
  });

  test("Python's smtplib over implicit TLS", python3, async () => {
    const sent = message("smtplibs");
    const script = `
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP_SSL("127.0.0.1", int(sys.argv[1]), timeout=20, context=context) as client:
    client.login("ada@here.test", sys.argv[3])
    client.sendmail("ada@here.test", ["smtplibs@there.test"], sys.stdin.buffer.read())
`;
    const ran = await program(
      "python3",
      ["-c", script, String(sender.ports.submissions), join(sender.folder, "cert.pem"), PASSWORD],
      sent,
    );
    assert.equal(ran.code, 0, ran.stderr);
    assertJourney((await arrived("smtplibs", sent)).trace, "ESMTPSA");
  });

  for (const mechanism of ["plain", "scram-sha-256"]) {
    test(`msmtp with ${mechanism}, its certificate checked`, msmtp, async () => {
      const user = `msmtp-${mechanism}`;
      const home = join(sender.folder, user);
      await mkdir(home);
      const ran = await program(
        "msmtp",
        [
          ...["--host=127.0.0.1", `--port=${sender.ports.submission}`, "--tls=on", "--tls-starttls=on"],
          ...[`--tls-trust-file=${join(sender.folder, "cert.pem")}`, `--auth=${mechanism}`, "--user=ada@here.test"],
          ...[`--passwordeval=echo ${PASSWORD}`, "--from=ada@here.test", "--", `${user}@there.test`],
        ],
        message(user),
      );
      assert.equal(ran.code, 0, ran.stderr);
      assertJourney((await arrived(user, message(user))).trace, "ESMTPSA");
    });
  }

  test("nodemailer, several messages over one connection", async () => {
    const transport = nodemailer.createTransport({
      host: "127.0.0.1",
      port: sender.ports.submission,
      requireTLS: true,
      tls: { rejectUnauthorized: false },
      auth: { user: "ada@here.test", pass: PASSWORD },
      pool: true,
      maxConnections: 1,
    });
    try {
      for (let n = 0; n < 5; n++) {
        const info = await transport.sendMail({
          from: "ada@here.test",
          to: ["nodemailer@there.test", "copy@there.test"],
          subject: `number ${n}`,
          text: "Grüße über Postern\n.\n",
        });
        assert.deepEqual(info.rejected, []);
      }
    } finally {
      transport.close();
    }
    const mail = await receiver.mailArrives("nodemailer", 5);
    await receiver.mailArrives("copy", 5);
    const subjects = mail.map((file) => /^Subject: (.*)\r$/m.exec(file)?.[1]).sort();
    assert.deepEqual(
      subjects,
      [0, 1, 2, 3, 4].map((n) => `number ${n}`),
    );
  });

  test("Postern's own command line", async () => {
    const sent = message("cli");
    const ran = await postern(
      [
        ...["send", "--server", `127.0.0.1:${sender.ports.submission}`, "--tls", "starttls"],
        ...["--ca", join(sender.folder, "cert.pem"), "--user", "ada@here.test", "--password-stdin"],
        ...["--from", "ada@here.test", "--to", "cli@there.test"],
      ],
      `${PASSWORD}\n${sent}`,
    );
    assert.equal(ran.code, 0, ran.stderr);
    assertJourney((await arrived("cli", sent)).trace, "ESMTPSA");
  });
});
