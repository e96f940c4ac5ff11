import assert from "node:assert/strict";
import { promises } from "node:fs";
import {
  chmod,
  type FileHandle,
  mkdtemp,
  open as openFile,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { type Clock, encodeUtf8, instant, silentLog, unwrap } from "../../base/index.ts";
import type { Body, Outcome } from "../../queue/index.ts";
import { formatMailbox, type Mailbox, parseMailbox } from "../../smtp/index.ts";
import { fixtureMessage } from "../fixtures.test.ts";
import { deliverToMaildir } from "./local-delivery.ts";
import { mailboxPath } from "./mailbox-path.ts";
import { Maildir } from "./maildir.ts";

const clock: Clock = { now: () => instant(1_795_312_800_123), after: () => ({ cancel() {} }) };
const ann = unwrap(parseMailbox("ann@here.test"));

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "postern-maildir-"));
  t.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

function bodyOf(chunks: readonly Uint8Array[], size = chunks.reduce((sum, { length }) => sum + length, 0)): Body {
  return { size, chunks: () => chunks };
}

const open = (): Maildir => new Maildir({ hostname: "mail.here.test", clock, processId: 7 });

test("a message lies in new, octet for octet behind the fields of final delivery", async (t) => {
  const base = await folder(t);
  const octets = Uint8Array.of(...encodeUtf8("Subject: x\r\n\r\n.\r\n\r\n"), 0xff, 0x80, 0x0d, 0x0a);
  const chunks = [octets.subarray(0, 5), octets.subarray(5)];
  const delivery = { reversePath: ann, recipient: ann, body: bodyOf(chunks), folder: join(base, "deep", "ann") };
  const file = await open().deliver(delivery);
  const fields = encodeUtf8("Return-Path: <ann@here.test>\r\nDelivered-To: ann@here.test\r\n");
  const stored = await readFile(file);
  assert.deepEqual(new Uint8Array(stored), Uint8Array.of(...fields, ...octets));
  assert.equal(file, join(base, "deep", "ann", "new", `1795312800.M123000P7Q1.mail.here.test,S=${stored.length}`));
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual((await readdir(join(base, "deep", "ann"))).sort(), ["cur", "new", "tmp"]);
  assert.deepEqual(await readdir(join(base, "deep", "ann", "tmp")), []);
});

test("the file is synced before it gets its name, and both directories after that", async (t) => {
  const base = await folder(t);
  const maildir = open();
  const delivery = { folder: base, reversePath: null, recipient: ann, body: bodyOf([encodeUtf8("x\r\n")]) };
  await maildir.deliver(delivery);
  const handle = await openFile(base, "r");
  const prototype: FileHandle = Object.getPrototypeOf(handle);
  await handle.close();
  const steps: (number | string)[] = [];
  const { sync } = prototype;
  t.mock.method(prototype, "sync", async function (this: FileHandle) {
    const { ino } = await this.stat();
    await sync.call(this);
    steps.push(ino);
  });
  const { rename } = promises;
  t.mock.method(promises, "rename", async (from: string, to: string) => {
    steps.push(`rename ${from}`);
    await rename(from, to);
  });
  syncBuiltinESMExports();
  const file = await maildir.deliver(delivery).finally(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const inode = async (path: string): Promise<number> => (await stat(path)).ino;
  assert.deepEqual(steps.slice(0, 2), [await inode(file), `rename ${file.replace("/new/", "/tmp/")}`]);
  assert.deepEqual(new Set(steps.slice(2)), new Set([await inode(join(base, "new")), await inode(join(base, "tmp"))]));
});

test("many at once, some large, none lost and none mixed", async (t) => {
  const base = await folder(t);
  const maildir = open();
  const texts = Array.from({ length: 40 }, (_, i) => `${i}\r\n`.repeat(i % 8 === 0 ? 100_000 : 3));
  const files = await Promise.all(
    texts.map((text) => {
      const octets = encodeUtf8(text);
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < octets.length; at += 65_536) chunks.push(octets.subarray(at, at + 65_536));
      return maildir.deliver({ folder: base, reversePath: null, recipient: ann, body: bodyOf(chunks) });
    }),
  );
  assert.equal(new Set(files).size, texts.length);
  for (const [i, file] of files.entries()) {
    const stored = await readFile(file, "utf8");
    assert.equal(stored, `Return-Path: <>\r\nDelivered-To: ann@here.test\r\n${texts[i]}`);
  }
});

test("messages that come while their folders are just being made find them", async (t) => {
  const base = await folder(t);
  const maildir = open();
  const deliveries: Promise<string>[] = [];
  for (let round = 0; round < 20; round++) {
    const delivery = { folder: join(base, "deep", `${round}`), reversePath: null, recipient: ann };
    for (let i = 0; i < 12; i++) {
      deliveries.push(maildir.deliver({ ...delivery, body: bodyOf([encodeUtf8(`${i}\r\n`)]) }));
      // Each a little later than the one before, so that some come between the making of one directory and the next.
      await new Promise(setImmediate);
    }
  }
  const files = await Promise.all(deliveries);
  assert.equal(new Set(files).size, 240);
  for (const file of files) assert.equal((await stat(file)).isFile(), true);
});

test("a Maildir that loses its new folder between two messages has it made again", async (t) => {
  const base = await folder(t);
  const maildir = open();
  const delivery = { folder: base, reversePath: null, recipient: ann, body: bodyOf([encodeUtf8("x\r\n")]) };
  await maildir.deliver(delivery);
  await rm(join(base, "new"), { recursive: true });
  assert.equal((await stat(await maildir.deliver(delivery))).isFile(), true);
});

test("a body that breaks off or fails is not delivered and leaves nothing behind", async (t) => {
  const base = await folder(t);
  const failing: Body = {
    size: 10,
    // biome-ignore lint/correctness/useYield: a source that fails at once
    *chunks() {
      throw new Error("broken store");
    },
  };
  for (const body of [failing, bodyOf([encodeUtf8("short")], 10), bodyOf([encodeUtf8("short")], 1_000_000)]) {
    await assert.rejects(open().deliver({ folder: base, reversePath: null, recipient: ann, body }));
  }
  assert.deepEqual(await readdir(join(base, "tmp")), []);
  assert.deepEqual(await readdir(join(base, "new")), []);
});

const paths: readonly [string, string | null][] = [
  ["ann@here.test", "/m/here.test/ann"],
  ["Ann@HERE.test", "/m/here.test/ann"],
  ["ann+list@here.test", "/m/here.test/ann"],
  ["+list@here.test", "/m/here.test/+list"],
  ["o'brien@here.test", "/m/here.test/o'brien"],
  ['"{domain}"@here.test', "/m/here.test/{domain}"],
  ['"a b"@here.test', "/m/here.test/a b"],
  ['"../../etc/passwd"@here.test', null],
  ['".."@here.test', null],
  ['"."@here.test', null],
  ['".hidden"@here.test', null],
  ['"a/b"@here.test', null],
  ['"a\\\\b"@here.test', null],
  ["a/b@here.test", null],
  ['""@here.test', null],
];

test("a mailbox names a folder below the template's, or none", () => {
  for (const [address, expected] of paths) {
    assert.equal(mailboxPath("/m/{domain}/{user}", unwrap(parseMailbox(address))), expected, address);
  }
  const composed = mailboxPath("{user}", unwrap(parseMailbox("jos\u00e9@here.test")));
  assert.equal(composed, mailboxPath("{user}", unwrap(parseMailbox("jose\u0301@here.test"))));
});

test("no local part leaves the folder", () => {
  const part = fc.array(fc.constantFrom("/", "..", ".", "\\", "\0", "a", "{user}", "+", "\r", "\u2028", "~"), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(
      fc.oneof(
        part.map((p) => p.join("")),
        fc.string({ unit: "binary" }),
      ),
      (localPart) => {
        const path = mailboxPath("/m/{user}", { localPart, domain: ann.domain });
        if (path === null) return;
        assert.match(path, /^\/m\/[^/\\.\0-\x1f][^/\\\0-\x1f]*$/);
      },
    ),
  );
});

async function outcomeAt(template: string, mailbox: Mailbox = ann): Promise<Outcome> {
  const message = fixtureMessage([formatMailbox(mailbox)]);
  const recipient = message.recipients[0];
  assert.ok(recipient);
  const body = bodyOf([encodeUtf8("x\r\n")]);
  return await deliverToMaildir(open(), template, { message, recipient, body, log: silentLog });
}

test("trouble with the disk waits, without a path in its words", async (t) => {
  const base = await folder(t);
  await writeFile(join(base, "file"), "");
  const blocked = await outcomeAt(join(base, "file", "{user}"));
  assert.ok(blocked.kind === "deferred");
  assert.equal(blocked.problem.status, "4.3.5");
  assert.ok(!blocked.problem.text.includes(base));
  if (process.getuid?.() !== 0) {
    await chmod(base, 0o500);
    const denied = await outcomeAt(join(base, "{user}"));
    assert.ok(denied.kind === "deferred" && denied.problem.status === "4.3.0");
    await chmod(base, 0o700);
  }
  const full = await outcomeAt(`/proc/postern/{user}`);
  assert.equal(full.kind, "deferred");
});

test("a mailbox that names no folder fails for good", async () => {
  const outcome = await outcomeAt("/nowhere/{user}", unwrap(parseMailbox('"../x"@here.test')));
  assert.ok(outcome.kind === "failed");
  assert.deepEqual([outcome.scope, outcome.problem.status], ["recipient", "5.1.1"]);
});
