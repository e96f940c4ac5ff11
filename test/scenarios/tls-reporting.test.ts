// The report of a day, sent by a running daemon of its own accord: nobody calls anything.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { instant, unwrap } from "../../src/base/index.ts";
import { loadConfig } from "../../src/config/index.ts";
import { openTrust } from "../../src/daemon/trust.ts";
import { dnsServer, fakeClock } from "../../src/testing/index.ts";
import { type Node, startNode } from "../node.ts";

const DAY = 86_400_000;
/** The least of all delays that are drawn: what is due after a start is sent at once instead of within ten minutes. */
const NO_DELAY = "--import=data:text/javascript,Math.random=()=>0";

/** Puts a session of yesterday into the trust file of a stopped daemon. */
function countYesterday(node: Node): void {
  const { clock } = fakeClock(instant(Date.now() - DAY));
  const trust = unwrap(openTrust(unwrap(loadConfig(node.config)), { hold: DAY, clock }));
  trust.results.add({
    domain: "there.test",
    policy: { type: "no-policy-found", strings: [], mxHosts: [] },
    type: "starttls-not-supported",
    host: "mx.there.test",
    sendingAddress: "192.0.2.1",
    receivingAddress: "198.51.100.1",
    reason: "STARTTLS is not offered",
  });
  trust.close();
}

async function startAgain(node: Node): Promise<void> {
  const before = process.env.NODE_OPTIONS;
  process.env.NODE_OPTIONS = NO_DELAY;
  try {
    await node.start();
  } finally {
    if (before === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = before;
  }
}

test("a daemon reports yesterday to the domain that asks for it, once, however often it is started", async () => {
  await using stack = new AsyncDisposableStack();
  const dns = stack.adopt(await dnsServer(), (server) => server.close());
  dns.set("_smtp._tls.there.test", { txt: ["v=TLSRPTv1; rua=mailto:tls@there.test"] });
  await using there = await startNode({ hostname: "mx.there.test", domains: ["there.test"] });
  await using here = await startNode({
    hostname: "mail.here.test",
    config: [
      `[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${there.ports.mx}"`,
      `[dns]\nservers = ["${dns.address}"]`,
    ].join("\n"),
  });
  await here.kill("SIGTERM");
  countYesterday(here);

  await startAgain(here);
  const [mail = ""] = await there.mailArrives("tls", 1);
  assert.match(mail, /^TLS-Report-Domain: there\.test\r?$/m);
  const date = new Date(Date.now() - DAY).toISOString().slice(0, 10);
  const sent = () => here.log.filter(({ event }) => event === "trust.report.sent");
  assert.deepEqual(
    sent().map(({ domain, day, to }) => [domain, day, to]),
    [["there.test", date, "mailto:tls@there.test"]],
  );

  await here.kill("SIGTERM");
  await startAgain(here);
  await sleep(3000);
  assert.equal(sent().length, 1);
  assert.equal((await there.mail("tls")).length, 1);
});
