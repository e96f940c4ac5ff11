import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { unwrap } from "../base/index.ts";
import { type Config, parseConfig } from "../config/index.ts";
import { checkConfig } from "./checks.ts";

let folder = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "postern-check-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function configured(...sections: readonly string[]): Config {
  const first = '[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\ntls = "none"';
  const text = ['hostname = "a.test"', 'data_dir = "new/data"', first, ...sections].join("\n");
  return unwrap(parseConfig(text, join(folder, "postern.toml")));
}

test("a check leaves nothing behind: what it makes could belong to another user than the one who serves", async () => {
  assert.deepEqual(await checkConfig(configured()), []);
  assert.deepEqual(readdirSync(folder), []);
});

test("files of routes, tokens and the source of users are looked at", async () => {
  const problems = await checkConfig(
    configured(
      '[[route]]\nmatch = "b.test"\ntls = "verified"\nca = ["no-ca.pem"]',
      '[auth]\nsource = "https://id.test/"\nsource_ca = ["no-source.pem"]',
      '[auth.oauth]\nissuer = "https://id.test"\naudience = "mail"\njwks_file = "no-keys.json"',
    ),
  );
  for (const file of ["no-ca.pem", "no-source.pem", "no-keys.json"]) {
    assert.equal(problems.filter((problem) => problem.includes(file)).length, 1, file);
  }
});

test("two listeners that cannot both be opened are told, though each could", async () => {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const at = probe.address();
  const port = typeof at === "object" && at !== null ? at.port : 0;
  await new Promise((resolve) => probe.close(resolve));
  const listeners = ["0.0.0.0", "127.0.0.1"].map(
    (address) => `[[listener]]\naddress = "${address}:${port}"\nservice = "mx"\ntls = "none"`,
  );
  const problems = await checkConfig(configured(...listeners));
  assert.match(problems.join(), new RegExp(`^127\\.0\\.0\\.1:${port} is already taken`));
});
