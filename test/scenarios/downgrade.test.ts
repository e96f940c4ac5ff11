// A host that had TLS and then has none, before a running daemon: its mail waits for the set time, an operator sees why, and may end it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Scene } from "./attack-scene.ts";
import { type Interposer, startInterposer } from "./interposer.ts";

const HOLD = 12_000;
const ADDRESSES = { "held.test": "127.78.0.1", "cleared.test": "127.78.0.2" } as const;
type Domain = keyof typeof ADDRESSES;
const domains: readonly Domain[] = ["held.test", "cleared.test"];

interface Remembered {
  readonly host: string;
  readonly tls: boolean;
  readonly fellAt: string | null;
}

interface Finished {
  readonly recipient: string;
  readonly outcome: {
    readonly kind: string;
    readonly tls: string | null;
    readonly address: string;
    readonly rule: string;
  };
}

describe("a host that offered TLS and does not any more", () => {
  let scene: Scene;
  const between = new Map<Domain, Interposer>();

  before(async () => {
    scene = await Scene.start({ domains, delivery: `downgrade_hold = "${HOLD / 1000}s"`, routes: () => "" });
    for (const domain of domains) {
      const address = ADDRESSES[domain];
      const { port, receiver } = scene;
      between.set(
        domain,
        await startInterposer({ address, port, behind: receiver.ports.mx, manner: { kind: "pass" } }),
      );
      scene.exchanger(domain, address, { secure: false });
    }
    await scene.submit(domains.map((domain) => ({ name: "before", domain })));
    await scene.retried();
    for (const interposer of between.values()) {
      interposer.manner = { kind: "strip" };
      interposer.cut();
    }
    await scene.submit(domains.map((domain) => ({ name: domain.replace(".test", ""), domain })));
    await scene.tried(domains.map((domain) => ({ name: domain.replace(".test", ""), domain })));
  });
  after(async () => {
    for (const interposer of between.values()) await interposer[Symbol.asyncDispose]();
    await scene?.[Symbol.asyncDispose]();
  });

  const json = async (...words: string[]) => JSON.parse((await scene.sender.command(...words, "--json")).stdout);
  const finished = async (recipient: string): Promise<Finished | undefined> =>
    (await json("queue", "history", recipient))[0];
  const remembered = async (domain: Domain): Promise<Remembered | undefined> =>
    (await json("tls-memory", "list", `mx.${domain}`)).hosts[0];
  const until = (domain: Domain): number => {
    const [told] = scene.logged("delivery.downgrade.held", `mx.${domain}`);
    return Date.parse(String(told?.until));
  };

  test("what was delivered before is on record with the version of TLS, though it left the queue", async () => {
    const told = await finished("before@held.test");
    assert.deepEqual([told?.outcome.kind, told?.outcome.address], ["delivered", ADDRESSES["held.test"]]);
    assert.match(told?.outcome.tls ?? "", /^TLSv1\.3 /);
    assert.match(told?.outcome.rule ?? "", /^opportunistic/);
  });

  test("its mail waits; log, queue and memory tell why, and nothing was said but EHLO and QUIT", async () => {
    for (const domain of domains) {
      const waiting = await scene.queued({ name: domain.replace(".test", ""), domain });
      const last = waiting?.recipients[0]?.last;
      assert.equal(last?.kind, "deferred");
      assert.match(last?.rule ?? "", /^encrypted \(held to what it proved last on .*: TLSv1\.3;/);
      assert.match(last?.text ?? "", /does not offer STARTTLS/);
      const printed = await scene.sender.command("queue", "show", waiting?.id ?? "");
      assert.match(printed.stdout, /by mx\.\S+, no session; rule: encrypted \(held/);
      assert.equal(scene.logged("delivery.downgrade.held", `mx.${domain}`).length, 1);
      assert.ok(until(domain) > Date.now() - 30_000);
      assert.notEqual((await remembered(domain))?.fellAt, null);
      assert.equal(between.get(domain)?.connections.at(-1)?.clear, "EHLO sender.test\r\nQUIT\r\n");
    }
  });

  test("an operator ends it by `tls-memory clear`, before its time is over", async () => {
    const cleared = await scene.sender.command("tls-memory", "clear", "MX.Cleared.test");
    assert.equal(cleared.code, 0, cleared.stderr);
    assert.equal(await remembered("cleared.test"), undefined);
    const { id = "" } = (await scene.queued({ name: "cleared", domain: "cleared.test" })) ?? {};
    assert.equal((await scene.sender.command("queue", "retry", id)).code, 0);
    await scene.receiver.mailArrives("cleared", 1);
    assert.ok(Date.now() < until("held.test"), "the other host is held still");
    assert.equal((await scene.receiver.mail("held")).length, 0);
  });

  test("after the set time it is believed: the mail goes in clear text, and the record says so", async () => {
    await scene.retried();
    assert.ok(Date.now() >= until("held.test"));
    assert.equal((await scene.receiver.mail("held")).length, 1);
    const told = await finished("held@held.test");
    assert.deepEqual([told?.outcome.kind, told?.outcome.tls], ["delivered", null]);
    assert.match(told?.outcome.rule ?? "", /^opportunistic/);
    assert.equal((await remembered("held.test"))?.tls, false);
    assert.match(
      (await scene.sender.command("queue", "history", "@held.test")).stdout,
      /127\.78\.0\.1\), clear text; rule: opp/,
    );
  });

  test("the day's results for TLS reports have both: what succeeded and what was not offered", async () => {
    const results = await scene.results();
    for (const domain of domains) {
      const types = new Set(results.get(domain)?.map(({ type }) => type));
      assert.ok(types.has("success") && types.has("starttls-not-supported"), [...types].join());
    }
  });
});
