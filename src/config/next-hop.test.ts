import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./load.ts";

const HEAD = 'hostname = "a.test"\n[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\ntls = "none"\n';
const HEX = "ab".repeat(32);
const BASE64 = Buffer.from(HEX, "hex").toString("base64");

function problemsOf(rest: string): string[] {
  const parsed = parseConfig(`${HEAD}${rest}`, "/etc/postern/postern.toml");
  return parsed.ok ? [] : parsed.error.map(({ line, key }) => `${line} ${key}`);
}

test("what a connection must prove, and what it shows, can be set for each route", () => {
  const source = `${HEAD}[[route]]
match = "partner.test"
via = "smtp://mx.partner.test:25"
tls = "verified"
ca = ["ca.pem", "/etc/other.pem"]
pins = ["${HEX.toUpperCase()}", "${BASE64}"]
min_version = "1.3"
client_certificate = "tls/client.pem"
client_private_key = "tls/client.key"
`;
  const parsed = parseConfig(source, "/etc/postern/postern.toml");
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.routes, [
    {
      match: "partner.test",
      via: { kind: "smtp", host: "mx.partner.test", port: 25 },
      tls: "verified",
      ca: ["/etc/postern/ca.pem", "/etc/other.pem"],
      pins: [HEX, HEX],
      minVersion: "TLSv1.3",
      clientCertificate: { certificate: "/etc/postern/tls/client.pem", privateKey: "/etc/postern/tls/client.key" },
    },
  ]);
});

test("the settings of all deliveries have defaults that protect, and 0s holds no host to anything", () => {
  const of = (rest: string) => {
    const parsed = parseConfig(`${HEAD}[delivery]\n${rest}`, "/etc/postern/postern.toml");
    assert.ok(parsed.ok);
    const { dane, ca, afterTlsFailure, downgradeHold, tlsResumption, leastRate } = parsed.value.delivery;
    return [dane, ca, afterTlsFailure, downgradeHold, tlsResumption, leastRate];
  };
  assert.deepEqual(of(""), [true, [], "defer", 86_400_000, true, 500]);
  const changed =
    'dane = false\nca = ["x.pem"]\nafter_tls_failure = "clear"\ndowngrade_hold = "0s"\ntls_resumption = false\n' +
    'least_rate = "2 KiB"';
  assert.deepEqual(of(changed), [false, ["/etc/postern/x.pem"], "clear", 0, false, 2048]);
  assert.deepEqual(problemsOf('[delivery]\ndowngrade_hold = "soon"\n'), ["7 delivery.downgrade_hold"]);
});

test("a route whose keys contradict each other is told, by its line", () => {
  const route = '[[route]]\nmatch = "b.test"\n';
  assert.deepEqual(problemsOf(`${route}client_certificate = "c.pem"\n`), ["8 route.client_certificate"]);
  assert.deepEqual(problemsOf(`${route}client_private_key = "c.key"\n`), ["8 route.client_private_key"]);
  assert.deepEqual(problemsOf(`${route}pins = ["${HEX}"]\n`), ["8 route.pins"]);
  assert.deepEqual(problemsOf(`${route}pins = ["no"]\ntls = "verified"\n`), ["8 route.pins"]);
  assert.deepEqual(problemsOf(`${route}min_version = "1.1"\n`), ["8 route.min_version"]);
  assert.deepEqual(problemsOf(`${route}tls = "off"\nmin_version = "1.3"\n`), ["9 route.min_version"]);
});

test("a level that could never be proven is told before mail waits for it", () => {
  const route = '[[route]]\nmatch = "b.test"\ntls = "dane"\n';
  assert.deepEqual(problemsOf(route), ["8 route.tls"]);
  assert.deepEqual(problemsOf(`${route}[dns]\nservers = ["127.0.0.1"]\ntrust_ad = true\n`), []);
  const address = `${route}via = "smtp://192.0.2.1:25"\n[dns]\nservers = ["127.0.0.1"]\ntrust_ad = true\n`;
  assert.deepEqual(problemsOf(address), ["8 route.tls"]);
});
