import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { HOUR, type Instant, instant, later, unwrap } from "../base/index.ts";
import { formatMailbox, parseDomain, parseMailbox } from "../smtp/index.ts";
import { type Credentials, type CredentialsOptions, openCredentials } from "./credentials.ts";
import { PasswordHasher } from "./password-hash.ts";
import { formatScramKeys, makeScramKeys } from "./scram-verifier.ts";
import { covers, ownAddress, sendersOf } from "./senders.ts";
import type { CredentialProblem } from "./user-register.ts";

const CHEAP = { memory: 64, passes: 1, parallelism: 1 };

let folder: string;
let path: string;
let opened: Credentials[];
let now: Instant;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "register-"));
  path = join(folder, "users.sqlite");
  opened = [];
  now = instant(0);
});

afterEach(() => {
  for (const credentials of opened) credentials.close();
  rmSync(folder, { recursive: true });
});

function open(options: CredentialsOptions = {}): Credentials {
  const defaults = { clock: { now: () => now }, cost: CHEAP, scramIterations: 4096 };
  const credentials = openCredentials(path, { ...defaults, ...options });
  opened.push(credentials);
  return credentials;
}

function kindOf(change: { readonly ok: boolean; readonly error?: CredentialProblem }): string {
  return change.ok ? "ok" : (change.error?.kind ?? "");
}

const REFUSED = { kind: "refused" };
const ANNA = { kind: "verified", identity: "anna" };

/** The file as the version before wrote it. */
async function writeFormat1(): Promise<void> {
  const database = new DatabaseSync(path);
  database.exec(`
    CREATE TABLE secret (value BLOB NOT NULL) STRICT;
    INSERT INTO secret VALUES (x'${"ab".repeat(32)}');
    CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT NOT NULL, scram TEXT NOT NULL, added_at INTEGER NOT NULL)
      STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1`);
  const hash = await new PasswordHasher({ cost: CHEAP }).hash("old secret");
  const scram = formatScramKeys(await makeScramKeys("old secret", 4096));
  database.prepare("INSERT INTO users VALUES ('anna', ?, ?, 5)").run(hash, scram);
  database.close();
}

test("a file of format 1 becomes format 2 with its users, also by two at once", async () => {
  await writeFormat1();
  const [daemon, operator] = [open(), open()];
  assert.deepEqual(await daemon.verify("anna", "old secret"), ANNA);
  assert.deepEqual(operator.summaries(), [
    { name: "anna", disabledAt: null, grants: [], limits: {}, appPasswords: [] },
  ]);
  assert.equal(kindOf(operator.addGrant("anna", "sales@example.org")), "ok");
  const raw = new DatabaseSync(path);
  assert.equal(raw.prepare("PRAGMA user_version").get()?.user_version, 2);
  assert.equal(raw.prepare("SELECT lower(hex(value)) AS secret FROM secret").get()?.secret, "ab".repeat(32));
  raw.exec("PRAGMA user_version = 3");
  raw.close();
  assert.throws(() => open(), /newer version \(format 3, known is 2\)/);
});

test("a disabled user is nobody, and everything again when enabled", async () => {
  const [daemon, operator] = [open(), open()];
  await operator.add("anna", "right");
  const password = unwrap(operator.addAppPassword("anna", "phone"));
  assert.deepEqual(await daemon.verify("anna", "right"), ANNA);
  assert.notEqual(daemon.account("anna"), null);
  const keys = daemon.scram("anna").keys;
  now = later(now, HOUR);
  assert.equal(kindOf(operator.setDisabled("Anna", true)), "ok");
  assert.deepEqual(await daemon.verify("anna", "right"), REFUSED, "also where it was remembered");
  assert.deepEqual(await daemon.verify("anna", password), REFUSED);
  assert.deepEqual(daemon.scram("anna"), { identity: null, keys });
  assert.equal(daemon.account("anna"), null);
  assert.equal(operator.summaries()[0]?.disabledAt, now);
  now = later(now, HOUR);
  operator.setDisabled("anna", true);
  assert.equal(operator.summaries()[0]?.disabledAt, HOUR, "since the first time");
  operator.setDisabled("anna", false);
  assert.deepEqual(await daemon.verify("anna", "right"), ANNA);
  assert.notEqual(daemon.account("anna"), null);
  assert.equal(kindOf(operator.setDisabled("bob", true)), "unknown");
});

test("a changed password is the only one at once, in PLAIN and SCRAM", async () => {
  const [daemon, operator] = [open(), open()];
  await operator.add("anna", "first");
  assert.deepEqual(await daemon.verify("anna", "first"), ANNA);
  const keys = daemon.scram("anna").keys;
  assert.equal(kindOf(await operator.changePassword("ANNA", "second")), "ok");
  assert.deepEqual(await daemon.verify("anna", "first"), REFUSED);
  assert.deepEqual(await daemon.verify("anna", "second"), ANNA);
  assert.notDeepEqual(daemon.scram("anna").keys.storedKey, keys.storedKey);
  assert.equal(kindOf(await operator.changePassword("anna", "")), "badPassword");
  assert.equal(kindOf(await operator.changePassword("bob", "third")), "unknown");
});

test("app passwords log in beside the password, each until it is removed", async () => {
  const [daemon, operator] = [open({ concurrency: 1, waiting: 0 }), open()];
  await operator.add("anna", "right");
  await operator.add("bob", "other");
  const phone = unwrap(operator.addAppPassword("anna", "phone"));
  const laptop = unwrap(operator.addAppPassword("anna", "laptop 2"));
  assert.match(phone, /^[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){5}$/);
  assert.notEqual(phone, laptop);
  assert.equal(kindOf(operator.addAppPassword("anna", "phone")), "exists");
  for (const label of ["", " x", "a\nb", "x".repeat(65)])
    assert.equal(kindOf(operator.addAppPassword("anna", label)), "badName");
  assert.equal(kindOf(operator.addAppPassword("eve", "phone")), "unknown");

  assert.deepEqual(await daemon.verify("anna", phone), ANNA);
  assert.deepEqual(await daemon.verify("Anna", laptop.replaceAll("-", " ").toUpperCase()), ANNA);
  assert.deepEqual(await daemon.verify("anna", "right"), ANNA);
  assert.deepEqual(await daemon.verify("bob", phone), REFUSED, "it is hers alone");
  assert.deepEqual(await daemon.verify("anna", `${phone.slice(0, -1)}${phone.endsWith("a") ? "b" : "a"}`), REFUSED);

  const [first] = operator.summaries()[0]?.appPasswords ?? [];
  assert.deepEqual(first, { name: "laptop 2", addedAt: 0, usedAt: 0 });
  now = later(now, HOUR);
  await daemon.verify("anna", laptop);
  assert.equal(operator.summaries()[0]?.appPasswords[0]?.usedAt, HOUR);

  assert.equal(kindOf(operator.removeAppPassword("anna", "phone")), "ok");
  assert.equal(kindOf(operator.removeAppPassword("anna", "phone")), "unknown");
  assert.deepEqual(await daemon.verify("anna", phone), REFUSED);
  assert.deepEqual(await daemon.verify("anna", laptop), ANNA);
  await operator.changePassword("anna", "changed");
  assert.deepEqual(await daemon.verify("anna", laptop), ANNA);
  operator.remove("anna");
  await operator.add("anna", "again");
  assert.deepEqual(await daemon.verify("anna", laptop), REFUSED, "the next user of that name");
  const file = readFileSync(path);
  for (const secret of [phone, laptop])
    assert.equal(file.includes(secret.replaceAll("-", "")) || file.includes(secret), false);
});

test("app passwords and grants of one user are bounded", async () => {
  const users = open();
  await users.add("anna", "right");
  for (let i = 0; i < 50; i++) assert.equal(kindOf(users.addAppPassword("anna", `p${i}`)), "ok");
  assert.equal(kindOf(users.addAppPassword("anna", "one more")), "tooMany");
});

test("hashes of a lower cost are made anew by the next right login, and by no other", async () => {
  await writeFormat1();
  const users = open({ cost: { memory: 128, passes: 1, parallelism: 1 }, scramIterations: 5000 });
  const hashes = (): boolean[] =>
    ["m=64,", "m=128,", "SCRAM-SHA-256$5000:"].map((part) => readFileSync(path).includes(part));
  assert.deepEqual(await users.verify("anna", "wrong"), REFUSED);
  assert.deepEqual(hashes(), [true, false, false]);
  assert.deepEqual(await users.verify("anna", "old secret"), ANNA);
  assert.deepEqual(hashes(), [false, true, true]);
  assert.deepEqual(await users.verify("anna", "old secret"), ANNA);
  assert.equal(users.scram("anna").keys.iterations, 5000);
  const weaker = open();
  assert.deepEqual(await weaker.verify("anna", "old secret"), ANNA);
  assert.deepEqual(hashes(), [false, true, true], "a lower setting weakens nobody");
});

test("grants and limits count for a running daemon at once", async () => {
  const [daemon, operator] = [open(), open()];
  await operator.add("anna", "right");
  const senders = sendersOf(daemon, [unwrap(parseDomain("here.test"))]);
  const may = async (address: string): Promise<boolean> =>
    covers(await senders.addressesOf("anna"), unwrap(parseMailbox(address)));
  assert.equal(await may("anna+x@here.test"), true);
  assert.equal(await may("sales@here.test"), false);
  assert.equal(kindOf(operator.addGrant("anna", "Sales@HERE.test")), "ok");
  assert.equal(kindOf(operator.addGrant("anna", "Sales@here.test")), "exists");
  assert.equal(await may("sales@here.test"), true);
  assert.equal(formatMailbox(present(ownAddress(await senders.addressesOf("anna")))), "anna@here.test");
  operator.addGrant("anna", "@there.test");
  assert.equal(await may("anybody@there.test"), true);
  assert.equal(await may("anybody@else.test"), false);
  operator.addGrant("anna", "*");
  assert.equal(await may("anybody@else.test"), true);
  assert.deepEqual(operator.summaries()[0]?.grants, ["*", "@there.test", "Sales@here.test"]);
  assert.equal(kindOf(operator.removeGrant("anna", "*")), "ok");
  assert.equal(kindOf(operator.removeGrant("anna", "*")), "unknown");
  assert.equal(await may("anybody@else.test"), false);
  for (const bad of ["", "anna", "@", "@a b", "a@b@c", "a@here.test\r\n"]) {
    assert.equal(kindOf(operator.addGrant("anna", bad)), "badGrant", JSON.stringify(bad));
  }
  assert.equal(kindOf(operator.setLimit("anna", "messages_per_hour", 5)), "ok");
  assert.deepEqual(daemon.account("anna")?.limits, { messages_per_hour: 5 });
  operator.setLimit("anna", "messages_per_hour", null);
  assert.deepEqual(daemon.account("anna")?.limits, {});
  operator.remove("anna");
  assert.deepEqual(await senders.addressesOf("anna"), [], "nothing is left to send as");
});

function present<T>(value: T | null): T {
  assert.ok(value !== null);
  return value;
}

test("an app password is right also while its use cannot be written down", async () => {
  const users = open();
  assert.equal(kindOf(await users.add("anna", "secret")), "ok");
  const password = unwrap(users.addAppPassword("anna", "phone"));
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  assert.deepEqual(await users.verify("anna", password), ANNA);
  other.exec("ROLLBACK");
  other.close();
  assert.equal(unwrap(users.summary("anna")).appPasswords[0]?.usedAt, null);
  assert.deepEqual(await users.verify("anna", password), ANNA);
  assert.equal(unwrap(users.summary("anna")).appPasswords[0]?.usedAt, now);
});
