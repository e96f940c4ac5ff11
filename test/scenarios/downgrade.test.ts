// A host that had TLS and then has none, before a running daemon: its mail waits for the set time, an operator sees why, and may end it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Letter, Scene } from "./attack-scene.ts";
import { type Interposer, startInterposer } from "./interposer.ts";

const ADDRESS = "127.78.0.1";
const DOMAIN = "held.test";
const HOST = `mx.${DOMAIN}`;
const LATER: Letter = { name: "later", domain: DOMAIN };

interface Remembered {
  readonly tls: boolean;
  readonly fellAt: string | null;
}

interface Finished {
  readonly outcome: {
    readonly kind: string;
    readonly tls: string | null;
    readonly address: string;
    readonly rule: string;
  };
}

/** A sender whose one message went over TLS, and whose second met a host without it. */
class Downgrade implements AsyncDisposable {
  readonly scene: Scene;
  readonly between: Interposer;

  private constructor(scene: Scene, between: Interposer) {
    this.scene = scene;
    this.between = between;
  }

  static async stage(hold: string): Promise<Downgrade> {
    const scene = await Scene.start({ domains: [DOMAIN], delivery: `downgrade_hold = "${hold}"`, routes: () => "" });
    const { port, receiver } = scene;
    const passing = { address: ADDRESS, port, behind: receiver.ports.mx, manner: { kind: "pass" } } as const;
    const between = await startInterposer(passing);
    scene.exchanger(DOMAIN, ADDRESS, { secure: false });
    await scene.submit([{ name: "before", domain: DOMAIN }]);
    await scene.retried();
    between.manner = { kind: "strip" };
    between.cut();
    await scene.submit([LATER]);
    await scene.tried([LATER]);
    return new Downgrade(scene, between);
  }

  async finished(recipient: string): Promise<Finished["outcome"] | undefined> {
    const [found]: Finished[] = await this.#json("queue", "history", recipient);
    return found?.outcome;
  }

  async remembered(): Promise<Remembered | undefined> {
    return (await this.#json("tls-memory", "list", HOST)).hosts[0];
  }

  /** Until when the host is held to what it proved, as the log tells at each try: the first fall counts. */
  until(): number {
    const told = new Set(this.scene.logged("delivery.downgrade.held", HOST).map(({ until }) => String(until)));
    assert.equal(told.size, 1);
    return Date.parse([...told].join());
  }

  async #json(...words: string[]) {
    return JSON.parse((await this.scene.sender.command(...words, "--json")).stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.between[Symbol.asyncDispose]();
    await this.scene[Symbol.asyncDispose]();
  }
}

describe("a host that offered TLS and does not any more", () => {
  let staged: Downgrade;
  before(async () => {
    staged = await Downgrade.stage("1h");
  });
  after(() => staged?.[Symbol.asyncDispose]());

  test("what was delivered before is on record with the version of TLS, though it left the queue", async () => {
    const told = await staged.finished(`before@${DOMAIN}`);
    assert.deepEqual([told?.kind, told?.address], ["delivered", ADDRESS]);
    assert.match(told?.tls ?? "", /^TLSv1\.3 /);
    assert.match(told?.rule ?? "", /^opportunistic/);
  });

  test("its mail waits; log, queue and memory tell why, and nothing was said but EHLO and QUIT", async () => {
    const { scene, between } = staged;
    const waiting = await scene.queued(LATER);
    const last = waiting?.recipients[0]?.last;
    assert.equal(last?.kind, "deferred");
    assert.match(last?.rule ?? "", /^encrypted \(held to what it proved last on .*: TLSv1\.3;/);
    assert.match(last?.text ?? "", /does not offer STARTTLS/);
    const printed = await scene.sender.command("queue", "show", waiting?.id ?? "");
    assert.match(printed.stdout, /by mx\.\S+, no session; rule: encrypted \(held/);
    assert.ok(staged.until() > Date.now());
    assert.notEqual((await staged.remembered())?.fellAt, null);
    assert.equal(between.connections.at(-1)?.clear, "EHLO sender.test\r\nQUIT\r\n");
  });

  test("an operator ends it by `tls-memory clear`, before its time is over", async () => {
    const { scene } = staged;
    const cleared = await scene.sender.command("tls-memory", "clear", HOST.toUpperCase());
    assert.equal(cleared.code, 0, cleared.stderr);
    assert.equal(await staged.remembered(), undefined);
    await scene.retried();
    assert.equal(await scene.arrived(LATER), true);
  });

  test("the day's results for TLS reports have both: what succeeded and what was not offered", async () => {
    const types = new Set((await staged.scene.results()).get(DOMAIN)?.map(({ type }) => type));
    assert.ok(types.has("success") && types.has("starttls-not-supported"), [...types].join());
  });
});

test("after the set time a host without TLS is believed: the mail goes in clear text, and the record says so", async () => {
  await using staged = await Downgrade.stage("3s");
  const { scene } = staged;
  await scene.retried();
  assert.ok(Date.now() >= staged.until());
  assert.equal(await scene.arrived(LATER), true);
  const told = await staged.finished(`later@${DOMAIN}`);
  assert.deepEqual([told?.kind, told?.tls], ["delivered", null]);
  assert.match(told?.rule ?? "", /^opportunistic/);
  assert.equal((await staged.remembered())?.tls, false);
  const printed = await scene.sender.command("queue", "history", `@${DOMAIN}`);
  assert.match(printed.stdout, /127\.78\.0\.1\), clear text; rule: opp/);
});
