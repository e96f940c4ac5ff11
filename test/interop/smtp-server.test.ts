// The npm package smtp-server as the next hop, over STARTTLS, and refusing in its ways.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SMTPServer } from "smtp-server";
import { makeCertificate } from "../../src/testing/index.ts";
import { type Node, postern, startNode } from "../node.ts";

interface Taken {
  readonly secure: boolean;
  readonly recipients: readonly string[];
  readonly text: string;
}

describe("smtp-server as the next hop", () => {
  const taken: Taken[] = [];
  let server: SMTPServer;
  let node: Node;

  before(async () => {
    const pair = await makeCertificate({ names: ["next.test"] });
    server = new SMTPServer({
      cert: pair.certificate,
      key: pair.privateKey,
      authOptional: true,
      logger: false,
      onRcptTo(address, _session, callback) {
        if (!address.address.startsWith("nobody")) return callback();
        callback(Object.assign(new Error("5.1.1 no such user"), { responseCode: 550 }));
      },
      onData(stream, session, callback) {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          taken.push({
            secure: session.secure,
            recipients: session.envelope.rcptTo.map(({ address }) => address),
            text: Buffer.concat(chunks).toString("latin1"),
          });
          callback();
        });
      },
    });
    server.listen(0, "127.0.0.1");
    await once(server.server, "listening");
    const address = server.server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    node = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${port}"\ntls = "encrypted"\n`,
    });
  });
  after(async () => {
    await node?.[Symbol.asyncDispose]();
    await new Promise<void>((resolve) => server.close(resolve));
  });

  const MESSAGE = "From: ada@here.test\r\nSubject: hop\r\n\r\n.dot\r\n\r\nend\r\n";
  const send = (...to: readonly string[]) =>
    postern(
      [
        ...["send", "--server", `127.0.0.1:${node.ports.mx}`, "--tls", "none", "--from", "ada@here.test"],
        ...to.flatMap((recipient) => ["--to", recipient]),
      ],
      MESSAGE,
    );

  test("takes a message whole, over TLS, in one transaction for all recipients", async () => {
    assert.equal((await send("a@next.test", "b@next.test")).code, 0);
    for (let attempt = 0; attempt < 200 && taken.length === 0; attempt++) await sleep(25);
    assert.equal(taken.length, 1);
    assert.equal(taken[0]?.secure, true);
    assert.deepEqual(taken[0]?.recipients, ["a@next.test", "b@next.test"]);
    assert.ok(taken[0]?.text.endsWith(MESSAGE));
  });

  test("a recipient it refuses comes back to the sender as a report, the other is delivered", async () => {
    taken.length = 0;
    assert.equal((await send("nobody@next.test", "somebody@next.test")).code, 0);
    const [report = ""] = await node.mailArrives("ada", 1);
    assert.match(report, /^Return-Path: <>\r\n/);
    assert.match(report, /Content-Type: multipart\/report;\s+report-type=delivery-status/);
    assert.match(report, /Final-Recipient: rfc822; ?nobody@next\.test/);
    assert.match(report, /Action: failed/);
    assert.match(report, /Status: 5\.1\.1/);
    assert.match(report, /Diagnostic-Code: smtp; ?550/);
    assert.doesNotMatch(report, /somebody@next\.test/);
    for (let attempt = 0; attempt < 200 && taken.length === 0; attempt++) await sleep(25);
    assert.deepEqual(taken[0]?.recipients, ["somebody@next.test"]);
  });
});
