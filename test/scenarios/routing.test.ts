// Where mail goes, with real DNS and real sockets: preferences, dead hosts, null MX, implicit MX, failures, loops.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type DnsServer, dnsServer } from "../../src/testing/index.ts";
import { freePorts, type Node, postern, startNode } from "../node.ts";

describe("routing by DNS", () => {
  let dns: DnsServer;
  let next: Node;
  let node: Node;

  before(async () => {
    const [hopPort = 0] = await freePorts(1);
    dns = await dnsServer({
      "preferred.test": {
        mx: [
          { preference: 10, exchange: "dead.test" },
          { preference: 20, exchange: "alive.test" },
        ],
      },
      "dead.test": { a: ["127.0.0.9"] },
      "alive.test": { a: ["127.0.0.1"] },
      "implicit.test": { a: ["127.0.0.1"] },
      "alias.test": { cname: "implicit.test" },
      "null.test": { mx: [{ preference: 0, exchange: "" }] },
      "broken.test": "servfail",
      "broken-mx.test": { mx: [{ preference: 10, exchange: "broken.test" }] },
    });
    next = await startNode({
      hostname: "next.test",
      domains: ["preferred.test", "implicit.test", "alias.test"],
      mxPort: hopPort,
    });
    node = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[delivery]\nport = ${hopPort}\n[dns]\nservers = ["${dns.address}"]\n`,
    });
  });
  after(async () => {
    await node?.[Symbol.asyncDispose]();
    await next?.[Symbol.asyncDispose]();
    await dns?.close();
  });

  async function send(from: string, to: string): Promise<void> {
    const sent = await postern(
      ["send", "--server", `127.0.0.1:${node.ports.mx}`, "--tls", "none", "--from", from, "--to", to],
      "Subject: routed\r\n\r\nbody\r\n",
    );
    assert.equal(sent.code, 0, sent.stderr);
  }

  async function report(user: string): Promise<string> {
    const [file = ""] = await node.mailArrives(user, 1);
    return file;
  }

  test("a dead host of better preference costs nothing but the next one", async () => {
    await send("a@here.test", "x@preferred.test");
    const [file = ""] = await next.mailArrives("x", 1);
    assert.match(file, /with ESMTPS/, "TLS where it is offered");
  });

  test("without MX records the name's own address is used, through an alias too", async () => {
    await send("b@here.test", "implicit@implicit.test");
    await next.mailArrives("implicit", 1);
    await send("b@here.test", "alias@alias.test");
    await next.mailArrives("alias", 1);
  });

  test("null MX and a name that does not exist come back at once, each with its status", async () => {
    await send("null@here.test", "x@null.test");
    assert.match(await report("null"), /Status: 5\.1\.10/);
    await send("none@here.test", "x@nowhere.test");
    assert.match(await report("none"), /Status: 5\.1\.2/);
  });

  test("a failing DNS defers; it is never read as an absence", async () => {
    for (const domain of ["broken.test", "broken-mx.test"]) await send("d@here.test", `x@${domain}`);
    for (let attempt = 0; ; attempt++) {
      const listed = await node.command("queue", "list", "--json");
      const waiting: readonly { readonly id: string }[] = JSON.parse(listed.stdout);
      const stories = await Promise.all(waiting.map(({ id }) => node.command("queue", "show", id)));
      const put = stories.filter(({ stdout }) => /deferred 4\.4\.3: .*lookup.*broken\.test/.test(stdout));
      if (put.length === 2) break;
      assert.ok(attempt < 20, stories.map(({ stdout }) => stdout).join("\n"));
      await sleep(100);
    }
    assert.deepEqual(await node.mail("d"), []);
  });
});

test("mail that circles between two Posterns ends in a report", async () => {
  const [one = 0, two = 0] = await freePorts(2);
  const loop = (port: number): string =>
    `[relay]\nnetworks = ["127.0.0.0/8"]\n[limits]\nhops = 20\n` +
    `[[route]]\nmatch = "circle.test"\nvia = "smtp://127.0.0.1:${port}"\n`;
  await using first = await startNode({ hostname: "one.test", domains: ["here.test"], mxPort: one, config: loop(two) });
  await using second = await startNode({
    hostname: "two.test",
    mxPort: two,
    config: `${loop(one)}[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${one}"\n`,
  });
  const sent = await postern(
    ["send", "--server", `127.0.0.1:${one}`, "--tls", "none", "--from", "ada@here.test", "--to", "x@circle.test"],
    "Subject: circles\r\n\r\nbody\r\n",
  );
  assert.equal(sent.code, 0, sent.stderr);
  const [report = ""] = await first.mailArrives("ada", 1);
  assert.match(report, /Status: 5\.4\.6/);
  await sleep(200);
  assert.equal((await first.mail("ada")).length, 1, "one report");
  for (const node of [first, second]) {
    assert.deepEqual(JSON.parse((await node.command("queue", "list", "--json")).stdout), []);
  }
});
