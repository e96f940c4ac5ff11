// A real Postfix as the next hop and as the client, over STARTTLS both ways.
import assert from "node:assert/strict";
import { chown, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "../../src/testing/index.ts";
import { freePorts, postern, startNode } from "../node.ts";
import { needs } from "./peers.ts";
import { startPostfix } from "./postfix.ts";

const NOBODY = 65_534;

const MESSAGE = [
  "From: ada@here.test",
  "To: bob@postfix.test",
  "Subject: from one MTA to another",
  "Date: Sun, 22 Nov 2026 10:00:00 +0000",
  "Message-ID: <mta@here.test>",
  "",
  "..dots first",
  ".",
  "the end",
  "",
].join("\r\n");

test("Postern relays to Postfix over STARTTLS", await needs("postfix"), async () => {
  const [port = 0] = await freePorts(1);
  const pair = await makeCertificate({ names: ["postfix.test"] });
  const postfix = await startPostfix({
    port,
    ...pair,
    settings: {
      virtual_mailbox_domains: "postfix.test",
      virtual_mailbox_base: "/",
      virtual_mailbox_maps: "static:PLACE/",
      virtual_uid_maps: `static:${NOBODY}`,
      virtual_gid_maps: `static:${NOBODY}`,
    },
    place: async (folder) => {
      const mail = join(folder, "mail", "bob");
      await mkdir(mail, { recursive: true });
      await chown(mail, NOBODY, NOBODY);
      return mail;
    },
  });
  try {
    await using node = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${port}"\ntls = "encrypted"\n`,
    });
    const ran = await postern(
      [
        ...["send", "--server", `127.0.0.1:${node.ports.mx}`, "--tls", "none"],
        ...["--from", "ada@here.test", "--to", "bob@postfix.test"],
      ],
      MESSAGE,
    );
    assert.equal(ran.code, 0, ran.stderr);
    const folder = join(postfix.folder, "mail", "bob", "new");
    const file = await oneFile(folder);
    // Postfix stores lines with a bare LF.
    assert.ok(file.endsWith(MESSAGE.replaceAll("\r\n", "\n")), file);
    assert.match(file, /by postfix\.test \(Postfix\) with ESMTPS/);
    assert.match(file, /by node\.test/);
    const list = await node.command("queue", "list", "--json");
    assert.deepEqual(JSON.parse(list.stdout), []);
  } finally {
    await postfix.stop();
  }
});

test("Postfix relays to Postern over STARTTLS", await needs("postfix"), async () => {
  const [port = 0] = await freePorts(1);
  await using node = await startNode({ hostname: "mx.there.test", domains: ["there.test"] });
  const postfix = await startPostfix({
    port,
    settings: { relayhost: `[127.0.0.1]:${node.ports.mx}`, smtp_tls_security_level: "encrypt" },
  });
  try {
    const sent = await postern(
      [
        ...["send", "--server", `127.0.0.1:${port}`, "--tls", "none"],
        ...["--from", "ada@here.test", "--to", "carol@there.test", "--to", "dave@there.test"],
      ],
      MESSAGE,
    );
    assert.equal(sent.code, 0, sent.stderr);
    for (const user of ["carol", "dave"]) {
      const [file = ""] = await node.mailArrives(user, 1);
      assert.ok(file.endsWith(MESSAGE), file);
      assert.match(file, /by mx\.there\.test[\s\S]*with ESMTPS\b/);
      assert.match(file, /by postfix\.test \(Postfix\)/);
    }
  } finally {
    await postfix.stop();
  }
});

async function oneFile(folder: string): Promise<string> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const [name] = await readdir(folder).catch(() => []);
    if (name !== undefined) return await readFile(join(folder, name), "latin1");
    await sleep(25);
  }
  throw new Error(`nothing arrived in ${folder}`);
}
