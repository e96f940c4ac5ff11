import assert from "node:assert/strict";
import { test } from "node:test";
import { mathRandom, unwrap } from "../base/index.ts";
import { parseConfig } from "../config/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { type DnsZone, fakeResolver } from "../testing/index.ts";
import { createMailDomains } from "./mail-domains.ts";

const config = unwrap(
  parseConfig(
    `hostname = "mx.here.test"
[[listener]]
address = "192.0.2.25:25"
service = "mx"
tls = "none"
[[domain]]
name = "here.test"
deliver = "discard:"
[[route]]
match = "routed.test"
via = "smtp://127.0.0.1:1"
[delivery]
port = 25
`,
    "/postern.toml",
  ),
);

const mx = (exchange: string) => [{ preference: 10, exchange }];

const zone: DnsZone = {
  "good.test": { mx: mx("mail.good.test") },
  "mail.good.test": { a: ["192.0.2.7"] },
  "address.test": { a: ["192.0.2.8"] },
  "null.test": { mx: mx("") },
  "nothing.test": { txt: ["x"] },
  "dead.test": { mx: mx("gone.dead.test") },
  "circle.test": { mx: mx("mx.here.test") },
  "mx.here.test": { a: ["192.0.2.25"] },
  "trouble.test": { mx: "servfail" },
  "slow.test": { mx: mx("mail.slow.test") },
  "mail.slow.test": { a: "timeout", aaaa: "timeout" },
};

test("a domain is judged as delivery would, and trouble is no verdict", async () => {
  const domains = createMailDomains(config, { resolver: fakeResolver(zone), random: mathRandom });
  for (const [domain, verdict] of [
    ["good.test", "reachable"],
    ["address.test", "reachable"],
    ["null.test", "nullMx"],
    ["missing.test", "noDomain"],
    ["nothing.test", "noHost"],
    ["dead.test", "noHost"],
    ["circle.test", "loop"],
    ["trouble.test", "unknown"],
    ["slow.test", "unknown"],
    ["[192.0.2.9]", "reachable"],
    ["[192.0.2.25]", "loop"],
  ]) {
    assert.equal(await domains.check(unwrap(parseMailbox(`x@${domain}`))), verdict, domain);
  }
});

test("nothing is looked up for domains that go to a named host, or end here", () => {
  const resolver = fakeResolver(zone);
  const domains = createMailDomains(config, { resolver, random: mathRandom });
  for (const domain of ["routed.test", "here.test"])
    assert.equal(domains.check(unwrap(parseMailbox(`x@${domain}`))), "reachable");
  assert.deepEqual(resolver.asked, []);
});
