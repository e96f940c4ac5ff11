import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./load.ts";

const HEAD = 'hostname = "mail.example.org"\n[[listener]]\naddress = "127.0.0.1:2525"\nservice = "mx"\ntls = "none"\n';
const WEB = '[[web]]\naddress = "[::1]:8080"\ntls = "none"\n';

function parsed(text: string) {
  return parseConfig(HEAD + text, "/etc/postern.toml");
}

test("metrics are off without a word, and have one address", () => {
  const off = parsed("");
  assert.ok(off.ok && off.value.metrics === null);
  const on = parsed('[metrics]\naddress = "[::1]:9469"\n');
  assert.deepEqual(on.ok && on.value.metrics, { address: { address: "::1", port: 9469 } });
  for (const text of ["", 'address = "9469"', 'address = "127.0.0.1:9469"\ntls = "none"']) {
    assert.equal(parsed(`[metrics]\n${text}\n`).ok, false, text);
  }
});

test("metrics have a port of their own", () => {
  for (const address of ["127.0.0.1:2525", "[::1]:8080"]) {
    const found = parsed(`${WEB}[metrics]\naddress = "${address}"\n`);
    assert.deepEqual(found.ok ? [] : found.error.map(({ key }) => key), ["metrics.address"], address);
  }
  assert.ok(parsed(`${WEB}[metrics]\naddress = "127.0.0.1:8080"\n`).ok);
  assert.ok(parsed('[metrics]\naddress = "127.0.0.1:0"\n').ok);
});
