import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Log, unwrap } from "../base/index.ts";
import { parseConfig } from "../config/index.ts";
import { makeAuthority } from "../testing/index.ts";
import { inTurn, reload } from "./reload.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-reload-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const config = unwrap(
  parseConfig(
    [
      'hostname = "mail.here.test"\n[[listener]]\naddress = "127.0.0.1:2525"\nservice = "mx"\ntls = "none"',
      '[auth]\nsource = "https://users.here.test/check"\nsource_ca = ["users.pem"]',
      '[auth.oauth]\nissuer = "https://id.here.test"\naudience = "mail"\nclient_id = "mx"',
      'introspection_url = "https://id.here.test/i"\nclient_secret_file = "secret"\n',
    ].join("\n"),
    join(folder, "postern.toml"),
  ),
);

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** What was put into use, in its order; the problems where there are some. */
async function reloaded(): Promise<{ readonly renewed: readonly unknown[]; readonly problems: readonly string[] }> {
  const renewed: unknown[] = [];
  const result = await reload(config, {
    tls: null,
    users: { renew: (submission, ca) => void renewed.push(submission === config.submission, ca) },
    web: { renew: (next) => void renewed.push(next === config) },
    renew: (rules) => void renewed.push(rules.config === config, rules.tokens === null ? "no tokens" : "tokens"),
    log: silent,
  });
  return { renewed, problems: result.ok ? [] : result.error };
}

test("all that lies in files is put into use, or with one problem nothing of it", async () => {
  const { certificate } = makeAuthority();
  writeFileSync(join(folder, "users.pem"), certificate);
  writeFileSync(join(folder, "secret"), "first\n");
  assert.deepEqual(await reloaded(), { renewed: [true, [certificate], true, true, "tokens"], problems: [] });
  for (const [file, content, whole] of [
    ["users.pem", "no certificate", certificate],
    ["secret", "\n", "first\n"],
  ] as const) {
    writeFileSync(join(folder, file), content);
    const { renewed, problems } = await reloaded();
    assert.deepEqual(renewed, [], file);
    assert.equal(problems.length, 1);
    assert.ok(problems[0]?.includes(join(folder, file)), problems[0]);
    writeFileSync(join(folder, file), whole);
  }
  rmSync(join(folder, "users.pem"));
  assert.equal((await reloaded()).problems.length, 1);
});

test("reloads take their turns, also behind one that failed", async () => {
  const done: string[] = [];
  const take = inTurn(async (name: string) => {
    done.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    done.push(`${name} ends`);
    if (name === "first") throw new Error("broken");
  });
  const [first, second] = [take("first"), take("second")];
  await assert.rejects(first, /broken/);
  await second;
  assert.deepEqual(done, ["first begins", "first ends", "second begins", "second ends"]);
});
