import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { unwrap } from "../base/index.ts";
import { parseConfig } from "../config/index.ts";
import { makeCertificate } from "../testing/index.ts";
import { loadTokens } from "./auth.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-auth-"));
after(() => rmSync(folder, { recursive: true }));

const HEAD = 'hostname = "mx.test"\n[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n';
const OAUTH = '[auth.oauth]\nissuer = "https://id.test"\naudience = "mail"\n';

/** The problems of a configuration's files; none where tokens can be checked. */
async function problems(section: string): Promise<readonly string[]> {
  const loaded = await loadTokens(unwrap(parseConfig(HEAD + OAUTH + section, join(folder, "postern.toml"))));
  if (!loaded.ok) return loaded.error;
  assert.notEqual(loaded.value, null);
  return [];
}

test("without [auth.oauth] no token counts", async () => {
  assert.equal(unwrap(await loadTokens(unwrap(parseConfig(HEAD, join(folder, "postern.toml"))))), null);
});

test("files that are missing or hold something else are told, one line each, with the file", async () => {
  writeFileSync(join(folder, "text"), "not what is wanted");
  writeFileSync(join(folder, "empty"), "\nsecond line");
  writeFileSync(join(folder, "keys"), '{"keys":[]}');
  writeFileSync(join(folder, "secret"), "s3cret\n");
  writeFileSync(join(folder, "ca"), makeCertificate({ names: ["id.test"] }).certificate);
  const asked = 'introspection_url = "https://id.test/ask"\nclient_id = "mx"\n';
  assert.deepEqual(await problems('jwks_file = "keys"\nca = ["ca"]'), []);
  assert.deepEqual(await problems(`${asked}client_secret_file = "secret"`), []);
  for (const [section, file] of [
    ['jwks_file = "gone"', "gone"],
    ['jwks_file = "text"', "text"],
    ['jwks_file = "keys"\nca = ["gone"]', "gone"],
    ['jwks_file = "keys"\nca = ["text"]', "text"],
    [`${asked}client_secret_file = "gone"`, "gone"],
    [`${asked}client_secret_file = "empty"`, "empty"],
  ] as const) {
    const [problem = "", ...more] = await problems(section);
    assert.deepEqual(more, [], section);
    assert.ok(problem.includes(join(folder, file)) && !problem.includes("\n"), `${section}: ${problem}`);
  }
});
