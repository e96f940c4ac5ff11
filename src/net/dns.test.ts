import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { type DnsServer, dnsServer, fakeClock } from "../testing/index.ts";
import { createResolver, type ResolverOptions } from "./dns.ts";
import type { DnsAnswer, Resolver } from "./resolver.ts";

/** Milliseconds for a server that will not answer, */
const SHORT = 150;
/** for one whose garbage has to arrive before they are over, */
const AMPLE = 1000;
/** and for one that answers, on a machine as busy as may be. */
const PATIENT = 20_000;
let server: DnsServer;

function resolver(options: ResolverOptions = {}): Resolver {
  return createResolver({ servers: [server.address], timeout: PATIENT, attempts: 1, ...options });
}

function reasonOf(answer: DnsAnswer<unknown>): string {
  return answer.kind === "failed" ? answer.reason : answer.kind;
}

before(async () => {
  server = await dnsServer({
    "example.test": {
      mx: [
        { preference: 10, exchange: "MX1.example.test" },
        { preference: 20, exchange: "mx2.example.test" },
      ],
      txt: ["v=spf1 -all", "x".repeat(600), "ünï"],
      secure: true,
      ttl: 77,
    },
    "mx1.example.test": { a: ["192.0.2.1"], aaaa: ["2001:db8::1"], tlsa: "servfail" },
    "null.test": { mx: [{ preference: 0, exchange: "." }] },
    "_25._tcp.mx1.example.test": {
      tlsa: [{ usage: 3, selector: 1, matchingType: 1, data: new Uint8Array(32).fill(7) }],
      secure: true,
    },
    "alias.test": { cname: "middle.test", secure: true, ttl: 9 },
    "middle.test": { cname: "mx1.example.test", secure: true },
    "dangling.test": { cname: "nowhere.test" },
    "loop.test": { cname: "pool.test" },
    "pool.test": { cname: "loop.test" },
    "broken.test": "servfail",
    "silent.test": "timeout",
    "192.0.2.1": { ptr: ["mx1.example.test"] },
    "2001:db8::1": { ptr: ["mx6.example.test"] },
  });
});
after(() => server.close());
beforeEach(() => {
  server.behave("honest");
  server.inject([]);
});

describe("answers", () => {
  test("records of each kind", async () => {
    const dns = resolver({ trustAd: true });
    assert.deepEqual(await dns.mx("Example.TEST."), {
      kind: "found",
      records: [
        { preference: 10, exchange: "mx1.example.test" },
        { preference: 20, exchange: "mx2.example.test" },
      ],
      name: "example.test",
      secure: true,
      ttl: 77,
    });
    const txt = await dns.txt("example.test");
    assert.deepEqual(txt.kind === "found" && txt.records, ["v=spf1 -all", "x".repeat(600), "ünï"]);
    const tlsa = await dns.tlsa("_25._tcp.mx1.example.test");
    assert.deepEqual(tlsa.kind === "found" && tlsa.records, [
      { usage: 3, selector: 1, matchingType: 1, data: new Uint8Array(32).fill(7) },
    ]);
    const ipv4 = await dns.addresses("mx1.example.test", 4);
    assert.deepEqual(ipv4.kind === "found" && ipv4.records, ["192.0.2.1"]);
    const ipv6 = await dns.addresses("mx1.example.test", 6);
    assert.deepEqual(ipv6.kind === "found" && ipv6.records, ["2001:db8::1"]);
    const reverse = await dns.reverse("192.0.2.1");
    assert.deepEqual(reverse.kind === "found" && reverse.records, ["mx1.example.test"]);
    const reverse6 = await dns.reverse("2001:db8:0::1");
    assert.deepEqual(reverse6.kind === "found" && reverse6.records, ["mx6.example.test"]);
  });

  test("the root as exchange is the null MX", async () => {
    const answer = await resolver().mx("null.test");
    assert.deepEqual(answer.kind === "found" && answer.records, [{ preference: 0, exchange: "" }]);
  });

  test("an absent name, an absent type and a failure are three things", async () => {
    const dns = resolver();
    assert.deepEqual(await dns.mx("nowhere.test"), { kind: "noName", secure: false });
    assert.deepEqual(await dns.mx("mx1.example.test"), { kind: "noData", secure: false });
    assert.equal(reasonOf(await dns.mx("broken.test")), "servfail");
    assert.equal(reasonOf(await resolver({ timeout: SHORT }).mx("silent.test")), "timeout");
    assert.equal(reasonOf(await dns.tlsa("mx1.example.test")), "servfail");
  });

  test("a name that cannot be in DNS does not exist, and is not asked for", async () => {
    const asked = server.asked.length;
    for (const name of ["a..b", `${"x".repeat(64)}.test`, `${"abcdefgh.".repeat(30)}test`, "ü.test", "a b.test"]) {
      assert.equal((await resolver().mx(name)).kind, "noName", name);
    }
    assert.equal(server.asked.length, asked);
  });

  test("aliases are followed, and the chain is as secure as its weakest link", async () => {
    const answer = await resolver({ trustAd: true }).addresses("alias.test", 4);
    assert.deepEqual(answer, {
      kind: "found",
      records: ["192.0.2.1"],
      name: "mx1.example.test",
      secure: false,
      ttl: 9,
    });
    assert.equal((await resolver().addresses("dangling.test", 4)).kind, "noName");
    assert.equal((await resolver().addresses("alias.test", 6)).kind, "found");
    assert.equal((await resolver().mx("alias.test")).kind, "noData");
    assert.equal(reasonOf(await resolver().addresses("loop.test", 4)), "malformed");
  });

  test("AD counts only from a server that is trusted", async () => {
    const trusting = await resolver({ trustAd: true }).mx("example.test");
    const wary = await resolver().mx("example.test");
    assert.equal(trusting.kind === "found" && trusting.secure, true);
    assert.equal(wary.kind === "found" && wary.secure, false);
  });

  test("localhost never leaves the machine", async () => {
    const asked = server.asked.length;
    const dns = resolver();
    const ipv4 = await dns.addresses("a.LOCALHOST.", 4);
    assert.deepEqual(ipv4.kind === "found" && ipv4.records, ["127.0.0.1"]);
    const ipv6 = await dns.addresses("localhost", 6);
    assert.deepEqual(ipv6.kind === "found" && ipv6.records, ["::1"]);
    assert.equal((await dns.mx("localhost")).kind, "noData");
    assert.equal(server.asked.length, asked);
  });

  test("records of other names in an answer are not taken", async () => {
    server.inject([{ type: "A", name: "other.test", data: "203.0.113.66" }]);
    const answer = await resolver().addresses("mx1.example.test", 4);
    assert.deepEqual(answer.kind === "found" && answer.records, ["192.0.2.1"]);
    assert.equal((await resolver().addresses("nowhere.test", 4)).kind, "noName");
  });
});

describe("servers that err or lie", () => {
  test("a truncated answer is asked for again by TCP", async () => {
    server.behave("truncate");
    assert.equal((await resolver().mx("example.test")).kind, "found");
    assert.equal(server.asked.at(-1), "tcp MX example.test");
  });

  test("a server without EDNS is asked again without it", async () => {
    server.behave("noEdns");
    assert.equal((await resolver().mx("example.test")).kind, "found");
  });

  test("a wrong id, a wrong question and silence are no answer", async () => {
    for (const manner of ["wrongId", "wrongQuestion", "timeout"] as const) {
      server.behave(manner);
      assert.equal(reasonOf(await resolver({ timeout: SHORT }).mx("example.test")), "timeout", manner);
    }
  });

  test("codes and garbage are failures", async () => {
    for (const [manner, reason] of [
      ["servfail", "servfail"],
      ["refused", "refused"],
      ["garbage", "malformed"],
    ] as const) {
      server.behave(manner);
      assert.equal(reasonOf(await resolver({ timeout: AMPLE }).mx("example.test")), reason, manner);
    }
  });

  test("the next server is asked when the first fails or is not there", async () => {
    const second = await dnsServer({ "example.test": { mx: [{ preference: 5, exchange: "second.test" }] } });
    try {
      server.behave("servfail");
      const answer = await resolver({ servers: [server.address, second.address] }).mx("example.test");
      assert.deepEqual(answer.kind === "found" && answer.records, [{ preference: 5, exchange: "second.test" }]);
      const beyond = await resolver({ servers: ["127.0.0.1:1", second.address] }).mx("example.test");
      assert.equal(beyond.kind, "found");
    } finally {
      await second.close();
    }
    assert.equal(reasonOf(await resolver({ servers: ["127.0.0.1:1"] }).mx("example.test")), "unreachable");
    assert.equal(reasonOf(await resolver({ servers: [] }).mx("example.test")), "unreachable");
  });

  test("a silent server is asked in each round, one that refused is not", async () => {
    const count = (from: number) => server.asked.slice(from).length;
    let from = server.asked.length;
    server.behave("timeout");
    await resolver({ attempts: 3, timeout: 40 }).mx("example.test");
    assert.equal(count(from), 3);
    from = server.asked.length;
    server.behave("refused");
    await resolver({ attempts: 3 }).mx("example.test");
    assert.equal(count(from), 1);
  });
});

describe("what is remembered", () => {
  test("an answer for its TTL, an absence by the SOA, a failure for a second", async () => {
    const { clock, advance } = fakeClock();
    const dns = resolver({ clock });
    const asksFor = async (name: string): Promise<number> => {
      const from = server.asked.length;
      await dns.mx(name);
      return server.asked.length - from;
    };
    for (const [name, seconds] of [
      ["example.test", 77],
      ["nowhere.test", 60],
      ["broken.test", 1],
    ] as const) {
      assert.equal(await asksFor(name), 1, name);
      advance(seconds * 1000 - 1);
      assert.equal(await asksFor(name), 0, name);
      advance(1);
      assert.equal(await asksFor(name), 1, name);
    }
  });

  test("a question that is being asked is not asked twice", async () => {
    const dns = resolver();
    const from = server.asked.length;
    await Promise.all([dns.mx("example.test"), dns.mx("EXAMPLE.test"), dns.mx("example.test.")]);
    assert.equal(server.asked.length - from, 1);
  });
});

test("an address that is none is refused at once", () => {
  for (const text of ["localhost", "127.0.0.1:0", "127.0.0.1:65536", "[::1", "::1:53x"]) {
    assert.throws(() => createResolver({ servers: [text] }), TypeError, text);
  }
});
