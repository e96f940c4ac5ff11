// One Postern delivers to another whose TLSA records are signed by a real Knot and validated by a real Unbound.
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeAuthority, makeCertificate } from "../../src/testing/index.ts";
import { freePorts, type Node, postern, startNode } from "../node.ts";
import { type Dnssec, startDnssec } from "./dnssec.ts";
import { needs } from "./peers.ts";

const OTHER_DIGEST = "ab".repeat(32);
const options = await needs("dnssec");

function sha256(octets: Uint8Array): string {
  return createHash("sha256").update(octets).digest("hex");
}

/** A domain with one exchanger of its own, on this machine. */
function exchanger(domain: string, port: number, tlsa: readonly string[], address = "127.0.0.1"): string[] {
  const records = tlsa.map((record) => `_${port}._tcp.mx.${domain} IN ${record}`);
  return [`${domain} IN MX 10 mx.${domain}`, `mx.${domain} IN A ${address}`, ...records];
}

interface Stripper extends AsyncDisposable {
  /** The lines that were said to it, in all connections. */
  readonly heard: readonly string[];
}

/** A man in the middle who takes STARTTLS out of the offer and says yes to everything. */
async function startStripper(address: string, port: number): Promise<Stripper> {
  const heard: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {}).write("220 mx.stripped.test ESMTP\r\n");
    createInterface({ input: socket }).on("line", (line) => {
      heard.push(line);
      socket.write(line.startsWith("DATA") ? "354 go\r\n" : "250 OK\r\n");
      if (line.startsWith("QUIT")) socket.end();
    });
  }).listen(port, address);
  await once(server, "listening");
  return {
    heard,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

describe("mail under DANE", options, () => {
  let dnssec: Dnssec;
  let next: Node;
  let node: Node;
  let stripper: Stripper;
  /** Messages that wait and whose story is known. */
  const told = new Set<string>();

  before(async () => {
    const [port = 0] = await freePorts(1);
    const authority = makeAuthority({ name: "Test CA" });
    const leaf = makeCertificate({ names: ["mx.anchored.signed.test", "byhop.signed.test"], issuer: authority });
    const key = sha256(new X509Certificate(leaf.certificate).publicKey.export({ type: "spki", format: "der" }));
    const anchor = sha256(new X509Certificate(authority.certificate).raw);
    const signed = [
      ...exchanger("match", port, [`TLSA 3 1 1 ${OTHER_DIGEST}`, `TLSA 3 1 1 ${key}`]),
      ...exchanger("wrong", port, [`TLSA 3 1 1 ${OTHER_DIGEST}`]),
      ...exchanger("anchored", port, [`TLSA 2 0 1 ${anchor}`]),
      ...exchanger("byhop", port, [`TLSA 2 0 1 ${anchor}`]),
      ...exchanger("misnamed", port, [`TLSA 2 0 1 ${anchor}`]),
      ...exchanger("unusable", port, [`TLSA 1 1 1 ${OTHER_DIGEST}`]),
      ...exchanger("broken", port, ["CNAME tlsa.bogus.test."]),
      ...exchanger("second", port, [`TLSA 3 1 1 ${OTHER_DIGEST}`]),
      "second IN MX 20 mx.match",
      ...exchanger("none", port, []),
      ...exchanger("stripped", port, [`TLSA 3 1 1 ${key}`], "127.0.0.2"),
      ...exchanger("vague", port, [`TLSA 0 0 1 ${OTHER_DIGEST}`], "127.0.0.2"),
    ];
    dnssec = await startDnssec({
      zones: {
        "signed.test": { trust: "anchored", lines: signed },
        // Forged, for all that anybody can tell.
        "plain.test": {
          trust: "insecure",
          lines: exchanger("any", port, [`TLSA 3 1 1 ${OTHER_DIGEST}`]),
        },
        "bogus.test": { trust: "bogus", lines: [`tlsa IN TLSA 3 1 1 ${key}`, ...exchanger("any", port, [])] },
      },
    });
    stripper = await startStripper("127.0.0.2", port);
    next = await startNode({
      hostname: "next.test",
      domains: [
        ...["match", "wrong", "anchored", "byhop", "misnamed", "unusable", "broken", "second", "none"].map(
          (name) => `${name}.signed.test`,
        ),
        "any.plain.test",
        "any.bogus.test",
      ],
      mxPort: port,
      files: { "cert.pem": leaf.certificate + authority.certificate, "key.pem": leaf.privateKey },
    });
    node = await startNode({
      domains: ["here.test"],
      config: [
        '[relay]\nnetworks = ["127.0.0.0/8"]',
        `[delivery]\nport = ${port}`,
        `[dns]\nservers = ["${dnssec.address}"]\ntrust_ad = true`,
        '[[route]]\nmatch = "none.signed.test"\nvia = "mx"\ntls = "dane"',
      ].join("\n"),
    });
  });
  after(async () => {
    await node?.[Symbol.asyncDispose]();
    await stripper?.[Symbol.asyncDispose]();
    await next?.[Symbol.asyncDispose]();
    await dnssec?.[Symbol.asyncDispose]();
  });

  async function send(domain: string): Promise<string> {
    const user = domain.replaceAll(".", "-");
    const sent = await postern(
      [
        ...["send", "--server", `127.0.0.1:${node.ports.mx}`, "--tls", "none"],
        ...["--from", "ada@here.test", "--to", `${user}@${domain}`],
      ],
      "Subject: under DANE\r\n\r\nbody\r\n",
    );
    assert.equal(sent.code, 0, sent.stderr);
    return user;
  }

  async function delivered(domain: string): Promise<string> {
    const [file = ""] = await next.mailArrives(await send(domain), 1);
    return file;
  }

  /** The level of the rule that the sender put down for its transaction with a host. */
  async function levelAt(host: string): Promise<string> {
    for (let attempt = 0; attempt < 50; attempt++) {
      const found = node.log.find((event) => event.event === "delivery.transaction" && event.host === host);
      if (typeof found?.rule === "string") {
        const level = found.rule.split(" ")[0] ?? "";
        assert.equal(found.proven === "dane", level === "dane");
        return level;
      }
      await sleep(50);
    }
    throw new Error(`no transaction with ${host}`);
  }

  /** The story of the message for a domain, once it waits. */
  async function deferred(domain: string): Promise<string> {
    const user = await send(domain);
    let story = "";
    for (let attempt = 0; attempt < 50; attempt++) {
      const listed = await node.command("queue", "list", "--json");
      const waiting: readonly { readonly id: string }[] = JSON.parse(listed.stdout);
      const id = waiting.map((message) => message.id).find((each) => !told.has(each));
      story = id === undefined ? "" : (await node.command("queue", "show", id)).stdout;
      if (id !== undefined && story.includes(`${user}@`) && / deferred 4\./.test(story)) {
        told.add(id);
        break;
      }
      await sleep(100);
    }
    assert.deepEqual(await next.mail(user), [], "nothing may arrive");
    return story;
  }

  test("a certificate that one of the records means is taken, whatever names it bears", async () => {
    assert.match(await delivered("match.signed.test"), /with ESMTPS/);
    assert.equal(await levelAt("mx.match.signed.test"), "dane");
  });

  test("a certificate under the authority that the record means is taken for the host's name, and for the domain's", async () => {
    assert.match(await delivered("anchored.signed.test"), /with ESMTPS/);
    assert.match(await delivered("byhop.signed.test"), /with ESMTPS/);
    assert.equal(await levelAt("mx.byhop.signed.test"), "dane");
  });

  test("records that cannot be used demand TLS and no more", async () => {
    assert.match(await delivered("unusable.signed.test"), /with ESMTPS/);
    assert.equal(await levelAt("mx.unusable.signed.test"), "encrypted");
  });

  test("a host that fails is passed over for the next that does not", async () => {
    assert.match(await delivered("second.signed.test"), /with ESMTPS/);
  });

  test("records without a signature count for nothing", async () => {
    assert.match(await delivered("any.plain.test"), /with ESMTPS/);
    assert.equal(await levelAt("mx.any.plain.test"), "opportunistic");
  });

  test("another certificate, or one of another name, stops the mail with the reason", async () => {
    assert.match(await deferred("wrong.signed.test"), /deferred 4\.7\.5: .*TLSA/);
    assert.match(await deferred("misnamed.signed.test"), /deferred 4\.7\.5: .*TLSA/);
  });

  test("where STARTTLS is taken out of the offer nothing is said but EHLO and QUIT, for records that cannot be used too", async () => {
    for (const domain of ["stripped.signed.test", "vague.signed.test"]) {
      assert.match(await deferred(domain), /deferred 4\.7\.\d+: .*STARTTLS/);
    }
    assert.ok(stripper.heard.length >= 2);
    assert.deepEqual(
      stripper.heard.filter((line) => !/^(?:EHLO node\.test|QUIT)$/.test(line)),
      [],
    );
  });

  test("TLSA records that cannot be had stop the mail, and so does an MX answer that is forged", async () => {
    assert.match(await deferred("broken.signed.test"), /TLSA lookup for _\d+\._tcp\.mx\.broken\.signed\.test failed/);
    assert.match(await deferred("any.bogus.test"), /deferred 4\.4\.3: .*MX lookup/);
  });

  test("a route that demands DANE waits where there are no records", async () => {
    assert.match(await deferred("none.signed.test"), /deferred 4\.7\.\d+/);
  });
});
