import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createResolver, type Resolver } from "../net/index.ts";
import { type DnsServer, dnsServer } from "./dns-server.ts";
import type { DnsZone } from "./dns-zone.ts";
import { fakeResolver } from "./fake-resolver.ts";

const zone: DnsZone = {
  "example.test": { mx: [{ preference: 10, exchange: "mx.test" }], txt: ["v=spf1"], secure: true },
  "mx.test": { a: ["192.0.2.1"], aaaa: [], tlsa: "servfail", ttl: 20 },
  "alias.test": { cname: "mx.test", secure: true },
  "proven.test": { absent: true, secure: true },
  "_submissions._tcp.example.test": {
    srv: [
      { priority: 0, weight: 1, port: 465, target: "mail.example.test" },
      { priority: 1, weight: 0, port: 465, target: "" },
    ],
  },
  "broken.test": "refused",
  "192.0.2.1": { ptr: ["mx.test"] },
};
let server: DnsServer;
before(async () => {
  server = await dnsServer(zone);
});
after(() => server.close());

const questions: Record<string, (dns: Resolver) => Promise<{ kind: string; detail?: string }>> = {
  mx: (dns) => dns.mx("Example.test"),
  txt: (dns) => dns.txt("example.test"),
  a: (dns) => dns.addresses("mx.test", 4),
  aaaa: (dns) => dns.addresses("mx.test", 6),
  tlsa: (dns) => dns.tlsa("mx.test"),
  alias: (dns) => dns.addresses("alias.test", 4),
  ptr: (dns) => dns.reverse("192.0.2.1"),
  cname: (dns) => dns.cname("Alias.test"),
  noCname: (dns) => dns.cname("mx.test"),
  brokenCname: (dns) => dns.cname("broken.test"),
  noNameCname: (dns) => dns.cname("none.test"),
  provenAbsence: (dns) => dns.mx("proven.test"),
  provenAbsenceCname: (dns) => dns.cname("proven.test"),
  srv: (dns) => dns.srv("_submissions._tcp.example.test"),
  broken: (dns) => dns.mx("broken.test"),
  none: (dns) => dns.mx("none.test"),
  noPtr: (dns) => dns.reverse("192.0.2.2"),
};
for (const [name, ask] of Object.entries(questions)) {
  test(`the fake resolver and the real one over the test server agree: ${name}`, async () => {
    const [{ detail: _fake, ...fake }, { detail: _real, ...real }] = await Promise.all([
      ask(fakeResolver(zone)),
      ask(createResolver({ servers: [server.address], trustAd: true, timeout: 500, attempts: 1 })),
    ]);
    assert.deepEqual(fake, real);
  });
}

test("entries can change, and what was asked is kept", async () => {
  const dns = fakeResolver();
  assert.equal((await dns.mx("new.test")).kind, "noName");
  dns.set("New.test", { mx: [{ preference: 1, exchange: "" }] });
  assert.equal((await dns.mx("new.test")).kind, "found");
  dns.set("new.test", null);
  assert.equal((await dns.mx("new.test")).kind, "noName");
  assert.deepEqual(dns.asked, ["mx new.test", "mx new.test", "mx new.test"]);
});
