import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Config, parseConfig } from "../config/index.ts";
import { makeAuthority, makeCertificate } from "../testing/index.ts";
import { loadNextHops } from "./next-hops.ts";

async function folderOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "postern-next-hops-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

function configOf(folder: string, rest: string): Config {
  const head = 'hostname = "a.test"\n[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\ntls = "none"\n';
  const parsed = parseConfig(`${head}${rest}`, join(folder, "postern.toml"));
  assert.ok(parsed.ok);
  return parsed.value;
}

const ROUTE = `[[route]]
match = "partner.test"
via = "smtp://mx.partner.test:25"
tls = "verified"
ca = ["ca.pem"]
client_certificate = "client.pem"
client_private_key = "client.key"
[delivery]
ca = ["more.pem"]
`;

const authority = makeAuthority();
const client = makeCertificate({ names: ["a.test"], issuer: authority });
const other = makeCertificate({ names: ["a.test"] });

test("authorities and certificates of routes are read from their files", async (t) => {
  const folder = await folderOf(t, {
    "ca.pem": `${authority.certificate}${other.certificate}`,
    "more.pem": other.certificate,
    "client.pem": client.certificate,
    "client.key": client.privateKey,
  });
  const loaded = loadNextHops(configOf(folder, ROUTE));
  assert.ok(loaded.ok);
  const [route] = loaded.value.routes;
  assert.equal(route?.ca?.length, 2);
  assert.deepEqual(route.clientCertificate, client);
  assert.equal(loaded.value.extraCa.length, 1);
  assert.ok((loaded.value.trusted?.length ?? 0) > 1, "what is trusted besides stands beside the system's");
  const plain = loadNextHops(configOf(folder, ""));
  assert.deepEqual(plain.ok && plain.value, { routes: [], extraCa: [], trusted: null });
});

test("each file that is missing or wrong is one line that names it", async (t) => {
  const folder = await folderOf(t, {
    "more.pem": "no certificate",
    "client.pem": client.certificate,
    "client.key": other.privateKey,
  });
  const loaded = loadNextHops(configOf(folder, ROUTE));
  assert.ok(!loaded.ok);
  assert.deepEqual(
    loaded.error.map((line) => /(more|ca|client)\.pem/.exec(line)?.[0]),
    ["more.pem", "ca.pem", "client.pem"],
  );
  assert.ok(loaded.error.every((line) => !line.includes("\n")));
});
