// swaks speaks for others by XCLIENT, as a mail proxy does.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { freePorts, logged, type Node, startNode } from "../node.ts";
import { needs, program } from "./peers.ts";

describe("swaks with XCLIENT", await needs("swaks"), () => {
  let node: Node;
  let mx = 0;
  let submission = 0;
  before(async () => {
    [mx = 0, submission = 0] = await freePorts(2);
    const listener = (port: number, service: string) =>
      `[[listener]]\naddress = "127.0.0.1:${port}"\nservice = "${service}"\nxclient = ["127.0.0.1"]\n`;
    node = await startNode({
      domains: ["here.test"],
      users: { "ada@here.test": "as told by the proxy" },
      config: [
        listener(mx, "mx"),
        listener(submission, "submission"),
        `[relay]\nnetworks = ["203.0.113.0/24"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:1"\n`,
      ].join("\n"),
    });
  });
  after(async () => {
    await node?.[Symbol.asyncDispose]();
  });

  const swaks = (port: number, to: string, ...options: readonly string[]) =>
    program("swaks", ["--server", `127.0.0.1:${port}`, "--from", "ada@here.test", "--to", to, ...options]);

  test("the trace field and the log name the client", async () => {
    const ran = await swaks(
      mx,
      "named@here.test",
      ...["--helo", "proxy.test", "--xclient-addr", "198.51.100.7", "--xclient-name", "spike.example"],
      ...["--xclient-helo", "spike", "--xclient-proto", "ESMTP", "--xclient-port", "4000"],
    );
    assert.equal(ran.code, 0, ran.stdout);
    const [mail = ""] = await node.mailArrives("named", 1);
    assert.match(mail, /Received: from spike \(spike\.example \[198\.51\.100\.7\]\)/);
    await logged(node, "session.introduced", { by: "127.0.0.1", address: "198.51.100.7" });
  });

  test("attributes in two commands, and an IPv6 client", async () => {
    const ran = await swaks(
      mx,
      "parts@here.test",
      ...["--xclient-helo", "spike", "--xclient-delim", "--xclient-addr", "IPV6:2001:db8::7"],
      ...["--xclient-name", "[UNAVAILABLE]"],
    );
    assert.equal(ran.code, 0, ran.stdout);
    const [mail = ""] = await node.mailArrives("parts", 1);
    assert.match(mail, /Received: from spike \(\[IPv6:2001:db8::7\]\)/);
  });

  test("who may relay is the client that was named", async () => {
    const may = await swaks(mx, "x@elsewhere.test", "--xclient-addr", "203.0.113.9");
    assert.equal(may.code, 0, may.stdout);
    const stranger = await swaks(mx, "x@elsewhere.test", "--xclient-addr", "198.51.100.9");
    assert.match(stranger.stdout, /<\*\* 550 5\.7\.1/);
  });

  test("LOGIN within TLS submits as that user", async () => {
    const ran = await swaks(submission, "login@here.test", "--tls", "--xclient-login", "ada@here.test");
    assert.equal(ran.code, 0, ran.stdout);
    const [mail = ""] = await node.mailArrives("login", 1);
    assert.match(mail, /with ESMTPSA/);
  });

  test("a listener that names nobody does not offer it, and swaks goes no further", async () => {
    const ran = await swaks(node.ports.mx, "no@here.test", "--xclient-addr", "203.0.113.9");
    assert.notEqual(ran.code, 0);
    assert.match(ran.stdout, /^<- {2}250-SIZE/m);
    assert.doesNotMatch(ran.stdout, /XCLIENT|MAIL FROM/);
  });
});
