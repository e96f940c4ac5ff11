import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { SECOND } from "../base/index.ts";
import { type FakeClock, fakeClock } from "../testing/index.ts";
import type { CredentialSource, LoginContext } from "./credential-source.ts";
import { openCredentials } from "./credentials.ts";
import { openServedCredentials } from "./served-credentials.ts";

const COSTS = { cost: { memory: 8, passes: 1, parallelism: 1 }, scramIterations: 4096 };
const context: LoginContext = { session: "s1", address: "192.0.2.1", port: 1, localAddress: "::1", localPort: 587 };

let folder: string;
let path: string;
let time: FakeClock;
let source: CredentialSource;
let other: DatabaseSync;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "postern-locked-"));
  path = join(folder, "users.sqlite");
  const register = openCredentials(path, COSTS);
  await register.add("anna", "a password");
  register.close();
  time = fakeClock();
  source = openServedCredentials(path, { ...COSTS, clock: time.clock });
  other = new DatabaseSync(path);
});

afterEach(() => {
  other.close();
  source.close();
  rmSync(folder, { recursive: true });
});

/** Every question there is, as the kind of its answer; how long the thread stood still for asking. */
function askAll(): { readonly answers: Promise<readonly unknown[]>; readonly stood: number } {
  const begun = performance.now();
  const answers = [
    source.verify("anna", "a password", context),
    source.scram?.("anna"),
    source.account("anna"),
    source.verify("nobody", "a password", context),
  ].map(async (answer) => {
    const known = await answer;
    if (known === null || known === undefined) return known;
    return "kind" in known ? known.kind : "identity" in known ? known.identity : "account";
  });
  return { answers: Promise.all(answers), stood: performance.now() - begun };
}

const ALL = ["verified", "anna", "account", "refused"];

test("what is not locked is answered at once", async () => {
  assert.ok(!(source.account("anna") instanceof Promise));
  assert.deepEqual(await askAll().answers, ALL);
});

test("a locked file keeps the one who asks waiting, and nobody else", async () => {
  other.exec("BEGIN EXCLUSIVE");
  const { answers, stood } = askAll();
  assert.ok(stood < 500, `the event loop stood still for ${stood} ms`);
  await time.run(4 * SECOND);
  other.exec("COMMIT");
  await time.run(SECOND);
  assert.deepEqual(await answers, ALL);
  assert.equal(time.pending, 0, "nobody looks any more");
});

test("a file that stays locked is given up after a while, as one of which nothing is known", async () => {
  other.exec("BEGIN EXCLUSIVE");
  const asked = Promise.resolve(source.account("anna"));
  const refused = assert.rejects(asked, /locked/);
  await time.run(6 * SECOND);
  await refused;
  other.exec("COMMIT");
  assert.deepEqual(await askAll().answers, ALL);
});

test("a file that was put in its place and is locked is waited for as well", async () => {
  other.close();
  const copy = join(folder, "copy.sqlite");
  other = new DatabaseSync(path);
  other.exec(`VACUUM INTO '${copy}'`);
  other.close();
  rmSync(path);
  other = new DatabaseSync(copy);
  other.exec("BEGIN EXCLUSIVE");
  renameSync(copy, path);
  const { answers, stood } = askAll();
  assert.ok(stood < 500, `the event loop stood still for ${stood} ms`);
  await time.run(SECOND);
  other.exec("COMMIT");
  await time.run(SECOND);
  assert.deepEqual(await answers, ALL);
});

test("what is wrong otherwise is told at once", async () => {
  other.exec("DROP TABLE users");
  await assert.rejects(async () => await source.account("anna"), /no such table/);
  await assert.rejects(async () => await source.verify("anna", "a password", context), /no such table/);
});
