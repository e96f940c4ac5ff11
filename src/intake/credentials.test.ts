import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { DAY, type Instant, instant, later, MINUTE } from "../base/index.ts";
import { type Credentials, type CredentialsOptions, openCredentials } from "./credentials.ts";
import { PasswordHasher } from "./password-hash.ts";
import { formatScramKeys, makeScramKeys, readScramKeys } from "./scram-verifier.ts";

const CHEAP = { memory: 64, passes: 1, parallelism: 1 };

let folder: string;
let path: string;
let opened: Credentials[];
let now: Instant;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "users-"));
  path = join(folder, "users.db");
  opened = [];
  now = instant(0);
});

afterEach(() => {
  for (const credentials of opened) credentials.close();
  rmSync(folder, { recursive: true });
});

function open(options: CredentialsOptions = {}): Credentials {
  const credentials = openCredentials(path, {
    clock: { now: () => now },
    cost: CHEAP,
    scramIterations: 4096,
    ...options,
  });
  opened.push(credentials);
  return credentials;
}

test("a user is verified by the password alone, under one form of the name", async () => {
  const users = open();
  assert.deepEqual(await users.add("Anna@Example.ORG", "caf\u00e9 noir"), { ok: true, value: undefined });
  const verified = { kind: "verified", identity: "anna@example.org" };
  assert.deepEqual(await users.verify("anna@example.org", "caf\u00e9 noir"), verified);
  assert.deepEqual(await users.verify("ANNA@example.org", "cafe\u0301\u00a0noir"), verified, "SASLprep");
  for (const [name, password] of [
    ["anna@example.org", "cafe noir"],
    ["anna@example.org", ""],
    ["anna@example.org", "x\0"],
    ["anna@example.org", "caf\u00e9 noir".repeat(200)],
    ["bob@example.org", "caf\u00e9 noir"],
    ["", "caf\u00e9 noir"],
    ["an na", "caf\u00e9 noir"],
    ["\ud800", "caf\u00e9 noir"],
  ] as const) {
    assert.deepEqual(await users.verify(name, password), { kind: "refused" }, `${name} ${password}`);
  }
});

test("names and passwords that could not be used again are not added", async () => {
  const users = open();
  for (const name of ["", " ", "a b", "a\r\nb", "a\0", "x".repeat(256), "\ud800", "\u00a0"]) {
    const added = await users.add(name, "secret");
    assert.equal(added.ok ? "added" : added.error.kind, "badName", JSON.stringify(name));
  }
  for (const password of ["", "a\0b", "a\nb", "x".repeat(1025), "\udc00"]) {
    const added = await users.add("anna", password);
    assert.equal(added.ok ? "added" : added.error.kind, "badPassword", JSON.stringify(password));
  }
  assert.deepEqual(users.list(), []);
  await users.add("anna", "first");
  const again = await users.add("ANNA", "second");
  assert.equal(again.ok ? "added" : again.error.kind, "exists");
  assert.equal((await users.verify("anna", "first")).kind, "verified");
});

test("what one process changes, the other sees at once", async () => {
  const [daemon, operator] = [open(), open()];
  await operator.add("bob", "one");
  await operator.add("anna", "two");
  assert.deepEqual(daemon.list(), ["anna", "bob"]);
  assert.equal((await daemon.verify("bob", "one")).kind, "verified");
  assert.equal(operator.remove("BOB"), true);
  assert.equal(operator.remove("bob"), false);
  assert.equal((await daemon.verify("bob", "one")).kind, "refused", "a remembered password of a removed user");
  await operator.add("bob", "three");
  assert.equal((await daemon.verify("bob", "one")).kind, "refused", "the old password");
  assert.equal((await daemon.verify("bob", "three")).kind, "verified");
});

test("a file put in the place of the open one is the one that counts", async () => {
  const daemon = open();
  await daemon.add("anna", "one");
  copyFileSync(path, `${path}.backup`);
  await daemon.add("bob", "two");
  renameSync(`${path}.backup`, path);
  assert.deepEqual(daemon.list(), ["anna"]);
  rmSync(path);
  assert.equal((await daemon.verify("anna", "one")).kind, "refused");
});

test("the file is for its owner only and holds no password in clear", async () => {
  const users = open();
  await users.add("anna", "correct horse battery");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(readFileSync(path).includes("correct horse"), false);
  assert.equal(readFileSync(path).includes("$argon2id$v=19$m=64,t=1,p=1$"), true);
});

test("a file that is no users file is refused with its name", () => {
  writeFileSync(path, "not a database, and long enough to be seen as none".repeat(40));
  assert.throws(() => open(), { message: new RegExp(`^cannot open the users file ${path}: `) });
  assert.throws(() => openCredentials(join(folder, "missing", "users.db")), /cannot open the users file/);
});

test("a right password is remembered for a while, a wrong one never", async () => {
  const users = open({ concurrency: 1, waiting: 0 });
  await users.add("anna", "right");
  const busyOf = async (password: string): Promise<string> => {
    const first = users.verify("nobody", "x"); // Holds the one place there is.
    const second = await users.verify("anna", password);
    await first;
    return second.kind;
  };
  assert.equal(await busyOf("right"), "busy", "not yet remembered");
  assert.equal((await users.verify("anna", "right")).kind, "verified");
  assert.equal((await users.verify("anna", "wrong")).kind, "refused");
  assert.equal(await busyOf("right"), "verified", "remembered");
  assert.equal(await busyOf("wrong"), "busy");
  now = later(now, 10 * MINUTE);
  assert.equal(await busyOf("right"), "busy", "forgotten again");
  assert.ok(now < DAY);
});

test("checks beyond the bound wait in line, beyond the line they are turned away", async () => {
  const hasher = new PasswordHasher({ cost: CHEAP, concurrency: 2, waiting: 2 });
  const phc = await hasher.hash("right");
  const checks = [..."abcde"].map((_, i) => hasher.verify(i % 2 === 0 ? "right" : "wrong", phc));
  assert.deepEqual(await Promise.all(checks), [true, false, true, false, "busy"]);
  assert.equal(await hasher.verify("right", phc), true, "all places are free again");
  assert.equal(await hasher.verify("right", hasher.decoy()), false);
  await assert.rejects(hasher.verify("right", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$dGFn"));
  assert.equal(await hasher.verify("right", phc), true, "a damaged hash took no place");
});

test("an unknown user costs the work of a known one", () => {
  const hasher = new PasswordHasher();
  assert.match(hasher.decoy(), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
});

test("the SCRAM verifier is that of RFC 7677", async () => {
  // Keys computed from the exchange of RFC 7677 §3: user "user", password "pencil", this salt, 4096 iterations.
  const text =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  assert.equal(formatScramKeys(readScramKeys(text)), text);
  assert.equal(formatScramKeys(await makeScramKeys("pencil", 4096, readScramKeys(text).salt)), text);
  const made = await makeScramKeys("pencil", 4096);
  assert.equal(made.iterations, 4096);
  assert.deepEqual(readScramKeys(formatScramKeys(made)), made);
  assert.throws(() => readScramKeys("SCRAM-SHA-1$4096:c2FsdA==$eA==:eA=="));
  const users = open();
  await users.add("User", "pencil");
  assert.equal(users.scram("USER").identity, "user");
  assert.equal(users.scram("USER").keys.iterations, 4096);
});

test("SCRAM keys of a user who does not exist look like those of one, and stay the same", async () => {
  const users = open();
  const shown = users.scram("Nobody");
  assert.equal(shown.identity, null);
  assert.deepEqual([shown.keys.iterations, shown.keys.salt.length, shown.keys.storedKey.length], [4096, 16, 32]);
  assert.deepEqual(users.scram("nobody"), shown, "whatever the case");
  assert.deepEqual(open().scram("nobody"), shown, "after a restart");
  assert.notDeepEqual(users.scram("another").keys.salt, shown.keys.salt);
});
