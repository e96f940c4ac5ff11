// What a server may say beside the truth, told by a server that says just what the test has it say.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, test } from "node:test";
import { type Answer, type DecodedPacket, decode, encode, type Packet } from "dns-packet";
import { fakeClock } from "../testing/index.ts";
import { createResolver, type ResolverOptions } from "./dns.ts";
import type { DnsAnswer, Resolver } from "./resolver.ts";

const NO_NAME = 3;
const AD = 0x20;

interface Said extends AsyncDisposable {
  readonly resolver: (options?: ResolverOptions) => Resolver;
  readonly address: string;
  readonly queries: { readonly packet: DecodedPacket; readonly port: number }[];
}

/** A server that answers each query with what `say` gives, under its id and question; null is silence. */
async function saying(say: (query: Packet) => Packet | null): Promise<Said> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const queries: Said["queries"] = [];
  socket.on("message", (bytes, { port, address }) => {
    const packet = decode(bytes);
    queries.push({ packet, port });
    const said = say(packet);
    if (said === null) return;
    const head: Packet = { type: "response", id: packet.id ?? 0, questions: packet.questions ?? [] };
    socket.send(encode({ ...head, ...said }), port, address);
  });
  const address = `127.0.0.1:${socket.address().port}`;
  return {
    address,
    queries,
    resolver: (options = {}) => createResolver({ servers: [address], timeout: 20_000, attempts: 1, ...options }),
    async [Symbol.asyncDispose]() {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

const nameOf = (query: Packet): string => query.questions?.[0]?.name ?? "";
const a = (name: string, data = "192.0.2.1", ttl = 60): Answer => ({ type: "A", name, ttl, data });
const cname = (name: string, data: string, ttl = 60): Answer => ({ type: "CNAME", name, ttl, data });
const soa = (name: string, minimum: number): Answer => ({
  type: "SOA",
  name,
  ttl: 3600,
  data: { mname: "ns.test", rname: "root.test", minimum },
});

function reasonOf(answer: DnsAnswer<unknown>): string {
  return answer.kind === "failed" ? answer.reason : answer.kind;
}

describe("a query", () => {
  test("comes from a port of its own and has an id of its own", async () => {
    await using server = await saying((query) => ({ type: "response", answers: [a(nameOf(query))] }));
    const dns = server.resolver();
    for (let i = 0; i < 40; i++) await dns.addresses(`n${i}.test`, 4);
    assert.equal(server.queries.length, 40);
    // Chance may give the same twice, and does not give it often.
    assert.ok(new Set(server.queries.map(({ port }) => port)).size > 30);
    assert.ok(new Set(server.queries.map(({ packet }) => packet.id)).size > 35);
    const steps = server.queries.slice(1).map(({ port }, at) => port - (server.queries[at]?.port ?? 0));
    assert.ok(new Set(steps).size > 5, "ports that count up can be guessed");
  });

  test("asks for DNSSEC only where AD counts", async () => {
    await using server = await saying((query) => ({ type: "response", flags: AD, answers: [a(nameOf(query))] }));
    for (const trustAd of [true, false]) {
      const answer = await server.resolver({ trustAd }).addresses("a.test", 4);
      assert.equal(answer.kind === "found" && answer.secure, trustAd);
      const { packet } = server.queries.at(-1) ?? {};
      const [option] = packet?.additionals ?? [];
      assert.ok(option?.type === "OPT");
      assert.deepEqual([packet?.flag_ad, option.flag_do], [trustAd, trustAd]);
    }
  });

  test("is repeated without EDNS for a server that knows another version of it", async () => {
    await using server = await saying((query) => {
      const [option] = query.additionals ?? [];
      if (option?.type !== "OPT") return { type: "response", answers: [a(nameOf(query))] };
      return { type: "response", additionals: [{ ...option, extendedRcode: 1 }] };
    });
    assert.equal((await server.resolver().addresses("a.test", 4)).kind, "found");
    assert.equal(server.queries.length, 2);
  });
});

describe("an answer", () => {
  test("is taken from the records on the way from the name, wherever they stand, and from no others", async () => {
    await using server = await saying(() => ({
      type: "response",
      answers: [
        a("end.test"),
        cname("middle.test", "end.test"),
        a("evil.test", "203.0.113.66"),
        cname("a.test", "middle.test"),
      ],
      additionals: [a("a.test", "203.0.113.67"), a("end.test", "203.0.113.68")],
      authorities: [a("end.test", "203.0.113.69")],
    }));
    const answer = await server.resolver().addresses("a.test", 4);
    assert.ok(answer.kind === "found");
    assert.deepEqual([answer.records, answer.name], [["192.0.2.1"], "end.test"]);
  });

  test("that has no more than the alias is followed by a question for what it stands for", async () => {
    await using server = await saying((query) =>
      nameOf(query) === "a.test"
        ? { type: "response", flags: AD, answers: [cname("a.test", "end.test")] }
        : { type: "response", answers: [a("end.test")] },
    );
    const answer = await server.resolver({ trustAd: true }).addresses("a.test", 4);
    assert.deepEqual([answer.kind, answer.kind === "found" && answer.secure], ["found", false]);
    assert.deepEqual(
      server.queries.map(({ packet }) => nameOf(packet)),
      ["a.test", "end.test"],
    );
  });

  test("that contradicts itself is malformed", async () => {
    for (const said of [
      { flags: NO_NAME, answers: [a("a.test")] },
      { answers: [cname("a.test", "b.test"), cname("a.test", "c.test"), a("b.test"), a("c.test")] },
      { answers: [cname("a.test", "b.test"), cname("b.test", "a.test")] },
    ]) {
      await using server = await saying(() => ({ type: "response", ...said }));
      assert.equal(reasonOf(await server.resolver().addresses("a.test", 4)), "malformed", JSON.stringify(said));
    }
  });

  test("that sends on to other servers denies nothing, and the next server is asked", async () => {
    await using lame = await saying(() => ({
      type: "response",
      authorities: [{ type: "NS", name: "test", data: "ns.test" }],
    }));
    await using good = await saying((query) => ({ type: "response", answers: [a(nameOf(query))] }));
    assert.equal(reasonOf(await lame.resolver().mx("a.test")), "refused");
    const both = await lame.resolver({ servers: [lame.address, good.address] }).addresses("a.test", 4);
    assert.equal(both.kind, "found");
  });

  test("to a CNAME question is the first alias alone", async () => {
    await using server = await saying(() => ({
      type: "response",
      flags: AD,
      answers: [cname("a.test", "b.test"), cname("b.test", "c.test")],
    }));
    assert.deepEqual(await server.resolver({ trustAd: true }).cname("a.test"), {
      kind: "found",
      records: ["b.test"],
      name: "a.test",
      secure: true,
      ttl: 60,
    });
  });
});

describe("how long it is remembered", () => {
  /** How often the server is asked when the same is asked twice, `seconds` apart. */
  async function asks(said: Omit<Packet, "type">, seconds: number): Promise<number> {
    await using server = await saying(() => ({ type: "response", ...said }));
    const { clock, advance } = fakeClock();
    const dns = server.resolver({ clock });
    await dns.addresses("a.test", 4);
    advance(seconds * 1000);
    await dns.addresses("a.test", 4);
    return server.queries.length;
  }

  test("the least TTL of the way counts, and 0 means not at all (RFC 1035 §3.2.1)", async () => {
    const chain = [cname("a.test", "b.test"), a("b.test", "192.0.2.1", 7)];
    assert.equal(await asks({ answers: chain }, 6), 1);
    assert.equal(await asks({ answers: chain }, 7), 2);
    assert.equal(await asks({ answers: [a("a.test", "192.0.2.1", 0)] }, 0), 2);
  });

  test("a denial by its SOA, for an hour at most; without one, or with that of another zone, not at all (RFC 2308 §5)", async () => {
    for (const flags of [0, NO_NAME]) {
      assert.equal(await asks({ flags, authorities: [soa("test", 30)] }, 29), 1);
      assert.equal(await asks({ flags, authorities: [soa("test", 30)] }, 30), 2);
      assert.equal(await asks({ flags, authorities: [soa("", 30)] }, 29), 1);
      assert.equal(await asks({ flags, authorities: [soa("test", 1e6)] }, 3599), 1);
      assert.equal(await asks({ flags, authorities: [soa("test", 1e6)] }, 3600), 2);
      assert.equal(await asks({ flags }, 0), 2);
      assert.equal(await asks({ flags, authorities: [soa("other.test", 30)] }, 0), 2);
    }
  });

  test("a denial behind an alias no longer than the alias", async () => {
    const answers = [cname("a.test", "b.test", 5)];
    const said = { flags: NO_NAME, answers, authorities: [soa("test", 300)] };
    assert.equal(await asks(said, 4), 1);
    assert.equal(await asks(said, 5), 2);
  });
});

test("once the signal is given, lookups under way and new ones fail at once", async () => {
  await using server = await saying(() => null);
  const stop = new AbortController();
  const dns = server.resolver({ timeout: 60_000, attempts: 3, signal: stop.signal });
  const started = performance.now();
  const pending = [dns.mx("a.test"), dns.tlsa("b.test")];
  setTimeout(() => stop.abort(), 50);
  for (const answer of await Promise.all(pending)) assert.equal(reasonOf(answer), "unreachable");
  assert.equal(reasonOf(await dns.mx("c.test")), "unreachable");
  assert.ok(performance.now() - started < 5000);
  assert.equal(server.queries.length, 2);
});
