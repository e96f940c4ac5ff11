// Authorities that connections out are checked by, changed under a running daemon and read anew on SIGHUP.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeAuthority, makeCertificate } from "../../src/testing/index.ts";
import { type Node, postern, startNode } from "../node.ts";

async function send(node: Node, to: string): Promise<void> {
  const server = ["--server", `127.0.0.1:${node.ports.mx}`, "--tls", "none"];
  const sent = await postern(["send", ...server, "--from", "ada@here.test", "--to", to], "Subject: x\r\n\r\nx\r\n");
  assert.equal(sent.code, 0, sent.stderr);
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 15_000; !(await holds()); await sleep(50)) {
    if (Date.now() > until) throw new Error(`never: ${what}`);
  }
}

/** Puts `content` in place of the authorities, and waits until the daemon said what it made of it. */
async function renew(node: Node, content: string, event: string): Promise<void> {
  const before = node.log.length;
  await writeFile(join(node.folder, "partner.pem"), content);
  process.kill(node.pid, "SIGHUP");
  await eventually(event, () => node.log.slice(before).some((line) => line.event === event));
}

test("SIGHUP: renewed authorities count from the next delivery on, broken ones never, and no open session outlives its own", async () => {
  const [theirs, others] = [makeAuthority({ name: "theirs" }), makeAuthority({ name: "others" })];
  const pair = makeCertificate({ names: ["partner.test"], ip: ["127.0.0.1"], issuer: theirs });
  await using partner = await startNode({
    domains: ["partner.test"],
    files: { "cert.pem": pair.certificate, "key.pem": pair.privateKey },
  });
  await using node = await startNode({
    domains: ["here.test"],
    files: { "partner.pem": others.certificate },
    config: [
      '[relay]\nnetworks = ["127.0.0.0/8"]\n[delivery]\nca = ["partner.pem"]',
      `[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${partner.ports.mx}"\ntls = "verified"`,
      '[queue]\nretry_first = "1h"\n',
    ].join("\n"),
  });
  const deferred = (recipient: string) => () =>
    node.log.some((line) => line.event === "queue.deferred" && line.recipient === recipient);

  await send(node, "one@partner.test");
  await eventually("deferred under the wrong authority", deferred("one@partner.test"));

  await renew(node, theirs.certificate, "daemon.reloaded");
  assert.equal((await node.command("queue", "retry", "--all")).code, 0);
  await partner.mailArrives("one", 1);

  await renew(node, "no certificate", "daemon.reload.failed");
  await send(node, "two@partner.test");
  await partner.mailArrives("two", 1);

  await renew(node, others.certificate, "daemon.reloaded");
  await send(node, "three@partner.test");
  await eventually("deferred once the authority is gone", deferred("three@partner.test"));
  assert.equal((await partner.mail("three")).length, 0);
});
