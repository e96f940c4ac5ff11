// Files that are changed under a running daemon and read anew on SIGHUP: authorities for connections out, the secret for tokens.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeAuthority, makeCertificate } from "../../src/testing/index.ts";
import { type Node, postern, startNode } from "../node.ts";
import { startTokenIssuer } from "../token-issuer.ts";

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

/** Puts `content` into a file of a daemon, and waits until it said what it made of it. */
async function renew(node: Node, file: string, content: string, event: string): Promise<void> {
  const before = node.log.length;
  await writeFile(join(node.folder, file), content);
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

  await renew(node, "partner.pem", theirs.certificate, "daemon.reloaded");
  assert.equal((await node.command("queue", "retry", "--all")).code, 0);
  await partner.mailArrives("one", 1);

  await renew(node, "partner.pem", "no certificate", "daemon.reload.failed");
  await send(node, "two@partner.test");
  await partner.mailArrives("two", 1);

  await renew(node, "partner.pem", others.certificate, "daemon.reloaded");
  await send(node, "three@partner.test");
  await eventually("deferred once the authority is gone", deferred("three@partner.test"));
  assert.equal((await partner.mail("three")).length, 0);
});

test("SIGHUP: a new secret at the issuer of tokens counts from the next login on, an empty one never", async () => {
  const issuer = await startTokenIssuer();
  try {
    const token = "a-token-without-any-inner-structure";
    issuer.known.set(token, { active: true, iss: issuer.issuer, aud: "mail", email: "ada@here.test" });
    await using node = await startNode({
      domains: ["here.test"],
      users: { "ada@here.test": "a password" },
      files: { "issuer.pem": issuer.ca, "oauth-secret": "the one before\n" },
      config: [
        `[auth.oauth]\nissuer = "${issuer.issuer}"\naudience = "mail"\nca = ["issuer.pem"]`,
        `introspection_url = "${issuer.introspectionUrl}"\nclient_id = "mx"\nclient_secret_file = "oauth-secret"\n`,
      ].join("\n"),
    });
    const submit = async (): Promise<number> => {
      const server = ["--server", `localhost:${node.ports.submissions}`, "--tls", "implicit"];
      const login = ["--ca", join(node.folder, "cert.pem"), "--user", "ada@here.test", "--token-stdin"];
      const envelope = ["--from", "ada@here.test", "--to", "ada@here.test"];
      const message = "From: ada@here.test\r\nSubject: x\r\n\r\nx\r\n";
      return (await postern(["send", ...server, ...login, ...envelope], `${token}\n${message}`)).code;
    };
    assert.notEqual(await submit(), 0, "the issuer does not know us by this secret");
    await renew(node, "oauth-secret", "s3cret/:\n", "daemon.reloaded");
    assert.equal(await submit(), 0);
    await renew(node, "oauth-secret", "\n", "daemon.reload.failed");
    assert.equal(await submit(), 0, "the one that was good stays");
    await node.mailArrives("ada", 2);
  } finally {
    await issuer.close();
  }
});
