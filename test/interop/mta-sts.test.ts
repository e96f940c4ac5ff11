// MTA-STS from end to end: one Postern serves the policy of its domains, curl and another Postern fetch it over DNS and HTTPS.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type DnsEntry, type DnsServer, dnsServer, makeAuthority, makeCertificate } from "../../src/testing/index.ts";
import { formatStsRecord, parseStsPolicy, policyId } from "../../src/trust/index.ts";
import { freePorts, type Node, postern, startNode } from "../node.ts";
import { needs, program } from "./peers.ts";

const curl = await needs("curl");

const POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 1209600\r\n";
const DOMAINS = ["good.test", "stray.test", "bare.test", "unproven.test"];
const NAMES = ["mx.good.test", "mta-sts.good.test", "mta-sts.stray.test", "mta-sts.bare.test"];
const authority = makeAuthority();

describe("MTA-STS between two Posterns", () => {
  let dns: DnsServer;
  let receiver: Node;
  let sender: Node;
  let webPort = 0;

  before(async () => {
    const [mxPort = 0, port = 0] = await freePorts(2);
    webPort = port;
    const here: DnsEntry = { a: ["127.0.0.1"] };
    const announced: DnsEntry = { txt: [formatStsRecord(policyId(POLICY))] };
    const mx = (exchange: string): DnsEntry => ({ mx: [{ preference: 10, exchange }] });
    dns = await dnsServer({
      "good.test": mx("mx.good.test"),
      // Whoever forges the MX answer sends mail here; the policy does not name it.
      "stray.test": mx("mx.forged.test"),
      "bare.test": mx("mx.forged.test"),
      "unproven.test": mx("mx.forged.test"),
      "mx.good.test": here,
      "mx.forged.test": here,
      ...Object.fromEntries(DOMAINS.map((domain) => [`mta-sts.${domain}`, here])),
      "_mta-sts.good.test": announced,
      "_mta-sts.stray.test": announced,
      "_mta-sts.unproven.test": announced,
    });
    const pair = makeCertificate({ names: NAMES, issuer: authority });
    receiver = await startNode({
      hostname: "mx.good.test",
      domains: DOMAINS,
      mxPort,
      files: { "cert.pem": pair.certificate, "key.pem": pair.privateKey },
      config: `[[web]]\naddress = "127.0.0.1:${webPort}"\n[mta_sts]\nmode = "enforce"\nmax_age = "14d"\n`,
    });
    sender = await startNode({
      hostname: "out.test",
      domains: ["out.test"],
      files: { "ca.pem": authority.certificate },
      config: [
        `[relay]\nnetworks = ["127.0.0.0/8"]`,
        `[delivery]\nport = ${mxPort}\nca = ["ca.pem"]`,
        `[dns]\nservers = ["${dns.address}"]`,
        `[mta_sts]\nfetch_port = ${webPort}\nfetch_networks = ["127.0.0.0/8"]\n`,
      ].join("\n"),
    });
  });
  after(async () => {
    await sender?.[Symbol.asyncDispose]();
    await receiver?.[Symbol.asyncDispose]();
    await dns?.close();
  });

  async function send(to: string): Promise<void> {
    const sent = await postern(
      ["send", "--server", `127.0.0.1:${sender.ports.mx}`, "--tls", "none", "--from", "ann@out.test", "--to", to],
      "Subject: held to a policy\r\n\r\nbody\r\n",
    );
    assert.equal(sent.code, 0, sent.stderr);
  }

  /** Waits for an event of the sender's log about `text`. */
  async function logged(event: string, text: string): Promise<string> {
    for (let attempt = 0; attempt < 200; attempt++) {
      const found = sender.log.find((line) => line.event === event && JSON.stringify(line).includes(text));
      if (found !== undefined) return JSON.stringify(found);
      await sleep(50);
    }
    throw new Error(`no ${event} with ${text}: ${sender.log.map((line) => JSON.stringify(line)).join("\n")}`);
  }

  async function fetch(
    name: string,
    ...more: readonly string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const address = `${name}:${webPort}:127.0.0.1`;
    const url = `https://${name}:${webPort}/.well-known/mta-sts.txt`;
    return await program("curl", [
      ...["--silent", "--show-error", "--max-time", "10", "--resolve", address],
      ...["--cacert", join(sender.folder, "ca.pem"), ...more, url],
    ]);
  }

  test("curl fetches the policy of each domain, and nothing else", curl, async () => {
    const fetched = await fetch("mta-sts.good.test", "--include");
    assert.equal(fetched.code, 0, fetched.stderr);
    const [head = "", body] = fetched.stdout.split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(head, /^content-type: text\/plain; charset=utf-8$/im);
    assert.equal(body, POLICY);
    assert.ok(parseStsPolicy(body ?? "").ok);
    assert.equal((await fetch("mta-sts.stray.test")).stdout, POLICY);
    const code = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    assert.equal((await fetch("mx.good.test", ...code)).stdout, "404");
    assert.equal((await fetch("mta-sts.good.test", "--data", "x", ...code)).stdout, "405");
    assert.equal((await fetch("mta-sts.unproven.test")).code, 60, "the certificate does not name it");
  });

  test("an enforced policy is met: the host proves its name", async () => {
    await send("ann@good.test");
    const [file = ""] = await receiver.mailArrives("ann", 1);
    assert.match(file, /with ESMTPS/);
    assert.match(await logged("queue.delivered", "ann@good.test"), /MTA-STS/i);
    assert.equal(sender.log.find(({ event }) => event === "delivery.transaction")?.proven, "mta-sts");
    await logged("trust.sts.fetched", "good.test");
  });

  test("a host that the policy does not name gets nothing, and the mail waits", async () => {
    await send("bob@stray.test");
    assert.match(await logged("queue.deferred", "bob@stray.test"), /MTA-STS/i);
    assert.deepEqual(await receiver.mail("bob"), []);
  });

  test("the same host takes the mail of a domain without a policy", async () => {
    await send("cy@bare.test");
    await receiver.mailArrives("cy", 1);
  });

  test("a policy host that proves nothing is told of, and stops no mail", async () => {
    await send("dan@unproven.test");
    await receiver.mailArrives("dan", 1);
    assert.match(await logged("trust.sts.failed", "unproven.test"), /sts-webpki-invalid/);
  });

  test("certificates are read anew for pages too", curl, async () => {
    const names = [...NAMES, "mta-sts.unproven.test"];
    const renewed = makeCertificate({ names, issuer: authority });
    await writeFile(join(receiver.folder, "cert.pem"), renewed.certificate);
    await writeFile(join(receiver.folder, "key.pem"), renewed.privateKey);
    process.kill(receiver.pid, "SIGHUP");
    for (let attempt = 0; ; attempt++) {
      const fetched = await fetch("mta-sts.unproven.test");
      if (fetched.code === 0) break;
      assert.ok(attempt < 50, fetched.stderr);
      await sleep(100);
    }
  });
});
