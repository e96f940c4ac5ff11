import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { type Config, parseConfig } from "../config/index.ts";
import { servesSettings, settingsPages, submissionPlaces } from "./autoconfig.ts";

const listener = (address: string, service = "submission", tls = "starttls"): string =>
  `[[listener]]\naddress = "${address}"\nservice = "${service}"\ntls = "${tls}"\n`;

function configOf(...parts: readonly string[]): Config {
  const tls = '[tls]\ncertificate = "cert.pem"\nprivate_key = "key.pem"\n';
  const domain = '[[domain]]\nname = "here.test"\ndeliver = "discard:"\n';
  return unwrap(parseConfig(['hostname = "mail.here.test"\n', ...parts, tls, domain].join("\n"), "/etc/postern.toml"));
}

const WEB = '[[web]]\naddress = "127.0.0.1:443"\n';
const BOTH = [listener("127.0.0.1:587"), listener("127.0.0.1:465", "submission", "implicit"), WEB];

async function settings(...parts: readonly string[]): Promise<string> {
  const [page] = settingsPages(configOf(...parts));
  const request = { host: "here.test", path: "", query: new URLSearchParams() };
  return (await page?.respond(request))?.body ?? "";
}

/** The texts of an element in the settings, in their order, those of one server. */
function texts(element: string, xml: string): readonly string[] {
  const [server = ""] = xml.split("<outgoingServer").slice(1);
  return [...server.matchAll(new RegExp(`<${element}>([^<]*)<`, "g"))].map(([, text = ""]) => text);
}

test("each port of users is told once, implicit TLS first, and none that is any free one", () => {
  const places = submissionPlaces(
    configOf(
      ...[listener("0.0.0.0:587"), listener("[::]:587"), listener("0.0.0.0:465", "submission", "implicit")],
      ...[listener("127.0.0.1:0"), listener("0.0.0.0:25", "mx")],
    ),
  );
  assert.deepEqual(places, [
    { port: 465, implicit: true },
    { port: 587, implicit: false },
  ]);
});

test("settings are served where there are pages and users", () => {
  assert.equal(servesSettings(configOf(...BOTH)), true);
  for (const parts of [[listener("127.0.0.1:25", "mx"), WEB], [listener("127.0.0.1:587")]]) {
    assert.equal(servesSettings(configOf(...parts)), false);
    assert.deepEqual(settingsPages(configOf(...parts)), []);
  }
  const hosts = ["here.test", "autoconfig.here.test", "mail.here.test", "autoconfig.mail.here.test", ""];
  for (const { serves } of settingsPages(configOf(...BOTH))) {
    assert.deepEqual(hosts.map(serves), [true, true, false, false, false]);
  }
});

test("the ways to log in are those that are there, a password first", async () => {
  const issuer =
    '[auth.oauth]\nissuer = "https://id.here.test"\naudience = "mail"\njwks_url = "https://id.here.test/k"\n';
  const only = (...names: readonly string[]): string => `[auth]\nmechanisms = ${JSON.stringify(names)}\n`;
  const ways = async (...parts: readonly string[]) => texts("authentication", await settings(...BOTH, ...parts));
  assert.deepEqual(await ways(), ["password-cleartext"]);
  assert.deepEqual(await ways(issuer), ["password-cleartext", "OAuth2"]);
  assert.deepEqual(await ways(only("OAUTHBEARER", "SCRAM-SHA-256"), issuer), ["OAuth2"]);
  assert.deepEqual(await ways(only("SCRAM-SHA-256-PLUS", "OAUTHBEARER")), ["password-encrypted"]);
  const certified = `${listener("127.0.0.1:588")}client_certificates = "request"\n`;
  const peer = `[[peer]]\nname = "ann"\nspki = ["${"ab".repeat(32)}"]\nuser = "ann"\n`;
  assert.deepEqual(await ways(certified, peer, only("EXTERNAL")), ["TLS-client-cert"]);
});

test("people read the name of the provider, or that of the domain, and log in as the operator says", async () => {
  const given = '[autoconfig]\nname = "A & B"\nusername = "%EMAILLOCALPART%"\n';
  assert.deepEqual(texts("username", await settings(...BOTH)), ["%EMAILADDRESS%"]);
  assert.deepEqual(texts("username", await settings(...BOTH, given)), ["%EMAILLOCALPART%"]);
  assert.match(await settings(...BOTH), /<displayName>here\.test</);
  assert.match(await settings(...BOTH, given), /<displayName>A &amp; B</);
});
