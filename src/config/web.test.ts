import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY } from "../base/index.ts";
import { parseConfig } from "./load.ts";
import type { Config } from "./model.ts";

const LISTENER = '[[listener]]\naddress = "127.0.0.1:2525"\nservice = "mx"\ntls = "none"\n';
const TLS = '[tls]\ncertificate = "cert.pem"\nprivate_key = "key.pem"\n';

function configOf(text: string): Config {
  const parsed = parseConfig(`hostname = "mail.example.org"\n${LISTENER}${text}`, "/etc/postern.toml");
  assert.ok(parsed.ok, parsed.ok ? "" : JSON.stringify(parsed.error));
  return parsed.value;
}

/** The keys that are complained of. */
function faults(text: string): readonly string[] {
  const parsed = parseConfig(`hostname = "mail.example.org"\n${LISTENER}${text}`, "/etc/postern.toml");
  return parsed.ok ? [] : parsed.error.map(({ key }) => key);
}

test("without a word policies of others count, and none of ours is served", () => {
  const { web, mtaSts, delivery } = configOf("");
  assert.deepEqual(web, []);
  assert.equal(delivery.mtaSts, true);
  assert.deepEqual(mtaSts, {
    mode: "testing",
    mx: ["mail.example.org"],
    maxAge: 7 * DAY,
    fetchPort: 443,
    fetchNetworks: [],
  });
});

test("a policy names hosts and wildcards of one label", () => {
  const { mtaSts } = configOf(
    '[mta_sts]\nmode = "enforce"\nmx = ["MX.example.org", "*.example.net"]\nmax_age = "30d"\n',
  );
  assert.deepEqual([mtaSts.mode, mtaSts.mx, mtaSts.maxAge], ["enforce", ["mx.example.org", "*.example.net"], 30 * DAY]);
  for (const pattern of ["*", "*.", "m*.example.org", "a.*.org", "mx.example.org.", "192.0.2.1", ""]) {
    assert.deepEqual(faults(`[mta_sts]\nmx = ["${pattern}"]\n`), ["mta_sts.mx"], pattern);
  }
  assert.deepEqual(faults('[mta_sts]\nmode = "report"\n'), ["mta_sts.mode"]);
});

test("pages need a certificate, unless a proxy in front has one", () => {
  assert.deepEqual(faults('[[web]]\naddress = "127.0.0.1:8443"\n'), ["web"]);
  const { web } = configOf(`${TLS}[[web]]\naddress = "[::]:443"\n[[web]]\naddress = "127.0.0.1:8080"\ntls = "none"\n`);
  assert.deepEqual(web, [
    { address: { address: "::", port: 443 }, tls: "implicit" },
    { address: { address: "127.0.0.1", port: 8080 }, tls: "none" },
  ]);
  assert.deepEqual(faults('[[web]]\naddress = "127.0.0.1:8080"\ntls = "starttls"\n'), ["web.tls"]);
});

test("each port has one use", () => {
  const page = (port: number): string => `[[web]]\naddress = "127.0.0.1:${port}"\ntls = "none"\n`;
  assert.deepEqual(faults(page(2525)), ["web.address"]);
  assert.deepEqual(faults(page(8080) + page(8080)), ["web.address"]);
  assert.deepEqual(faults(page(8080) + page(8081) + page(0) + page(0)), []);
});
