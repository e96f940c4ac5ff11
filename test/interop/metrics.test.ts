// Prometheus' own tool reads what is served to it, and finds nothing to complain of.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePorts, logged, startNode } from "../node.ts";
import { Talk } from "../scenarios/talk.ts";
import { needs, program } from "./peers.ts";

for (const workers of [1, 2]) {
  test(`promtool finds metrics in order, served by ${workers}`, await needs("promtool"), async () => {
    const [port = 0] = await freePorts(1);
    await using node = await startNode({
      workers,
      domains: ["here.test"],
      config: `[metrics]\naddress = "127.0.0.1:${port}"\n`,
    });
    await logged(node, "daemon.started", workers === 1 ? {} : { workers });
    const talk = await Talk.open(node.ports.mx);
    for (const line of [
      "EHLO c.test",
      "MAIL FROM:<a@c.test>",
      "RCPT TO:<x@else.test>",
      "RCPT TO:<ann@here.test>",
      "DATA",
    ])
      await talk.say(line);
    assert.match((await talk.say("Subject: hello\r\n\r\nbody\r\n.")) ?? "", /^250/);
    talk.close();
    await node.mailArrives("ann", 1);
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /^postern_messages_accepted_total\{service="mx"\} 1$/m);
    const checked = await program("promtool", ["check", "metrics"], metrics);
    assert.deepEqual(checked, { code: 0, stdout: "", stderr: "" });
    const broken = await program("promtool", ["check", "metrics"], metrics.replaceAll(" counter\n", " count\n"));
    assert.notEqual(broken.code, 0, "it would have said so");
  });
}
