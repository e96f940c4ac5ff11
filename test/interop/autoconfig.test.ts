// What a mail program finds when somebody types an address: the settings over HTTPS, fetched by curl and read by an XML parser that
// is not ours, and the records that lead there.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeAuthority, makeCertificate } from "../../src/testing/index.ts";
import { freePorts, type Node, startNode } from "../node.ts";
import { needs, program } from "./peers.ts";

const [curl, python] = [await needs("curl"), await needs("python3")];

const authority = makeAuthority();
const DOMAINS = ["here.test", "größe.test"];
const NAMES = ["mail.here.test", "here.test", "autoconfig.here.test", "autoconfig.xn--gre-6ka8i.test"];

/** Prints the elements of a file of settings as JSON: the parser refuses what is not well-formed. */
const READER = `
import json, sys
import xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
provider = root.find("emailProvider")
servers = [[s.tag, s.get("type"), [[e.tag, e.text] for e in s]] for s in provider if s.tag.endswith("Server")]
print(json.dumps([root.tag, root.get("version"), provider.get("id"), provider.findtext("domain"),
  provider.findtext("displayName"), servers]))
`;

describe("settings for mail programs", { skip: curl.skip || python.skip }, () => {
  let node: Node;
  let web = 0;

  before(async () => {
    [web = 0] = await freePorts(1);
    const pair = makeCertificate({ names: NAMES, issuer: authority, ip: ["127.0.0.1"] });
    node = await startNode({
      hostname: "mail.here.test",
      domains: DOMAINS,
      users: { "ann@here.test": "the secret of ann" },
      files: { "cert.pem": pair.certificate, "key.pem": pair.privateKey, "ca.pem": authority.certificate },
      config:
        `[[web]]\naddress = "127.0.0.1:${web}"\n` +
        `[autoconfig]\nname = "Ann & Sons <\\"Post\\">"\nincoming = ["imaps://imap.here.test", "pop3://pop.here.test"]\n`,
    });
  });
  after(() => node?.[Symbol.asyncDispose]());

  async function fetch(host: string, path: string, ...more: readonly string[]) {
    return await program("curl", [
      ...["--silent", "--show-error", "--max-time", "10", "--resolve", `${host}:${web}:127.0.0.1`],
      ...["--cacert", join(node.folder, "ca.pem"), ...more, `https://${host}:${web}${path}`],
    ]);
  }

  async function read(xml: string): Promise<unknown> {
    const parsed = await program("python3", ["-c", READER], xml);
    assert.equal(parsed.code, 0, parsed.stderr);
    return JSON.parse(parsed.stdout);
  }

  const server = (kind: string, type: string, host: string, port: number, socket: string) => [
    kind,
    type,
    [
      ["hostname", host],
      ["port", String(port)],
      ["socketType", socket],
      ["username", "%EMAILADDRESS%"],
      ["authentication", "password-cleartext"],
    ],
  ];

  test("are found where programs look, and say how to send and to read mail", async () => {
    const expected = [
      ...["clientConfig", "1.1", "here.test", "here.test", 'Ann & Sons <"Post">'],
      [
        server("incomingServer", "imap", "imap.here.test", 993, "SSL"),
        server("incomingServer", "pop3", "pop.here.test", 110, "STARTTLS"),
        server("outgoingServer", "smtp", "mail.here.test", node.ports.submissions, "SSL"),
        server("outgoingServer", "smtp", "mail.here.test", node.ports.submission, "STARTTLS"),
      ],
    ];
    for (const [host, path] of [
      ["autoconfig.here.test", "/mail/config-v1.1.xml?emailaddress=ann%40here.test"],
      ["here.test", "/.well-known/autoconfig/mail/config-v1.1.xml"],
      ["autoconfig.here.test", "/.well-known/mail-v1.xml?emailaddress=ann%40here.test"],
    ] as const) {
      const fetched = await fetch(host, path, "--include");
      assert.equal(fetched.code, 0, fetched.stderr);
      const [head = "", body = ""] = fetched.stdout.split("\r\n\r\n");
      assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(head, /^content-type: text\/xml; charset=utf-8$/im);
      assert.deepEqual(await read(body), expected, path);
    }
  });

  test("are those of the domain that is asked for, with its name in ASCII", async () => {
    const fetched = await fetch("autoconfig.xn--gre-6ka8i.test", "/mail/config-v1.1.xml");
    assert.equal(fetched.code, 0, fetched.stderr);
    const settings = await read(fetched.stdout);
    assert.ok(Array.isArray(settings));
    assert.deepEqual(settings.slice(2, 4), ["xn--gre-6ka8i.test", "xn--gre-6ka8i.test"]);
  });

  test("tell of no address whether there is one, and are nowhere else", async () => {
    const known = await fetch("autoconfig.here.test", "/mail/config-v1.1.xml?emailaddress=ann@here.test");
    const unknown = await fetch("autoconfig.here.test", "/mail/config-v1.1.xml?emailaddress=%3Cx%3E@elsewhere.test");
    assert.equal(known.code, 0, known.stderr);
    assert.equal(unknown.stdout, known.stdout);
    const code = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    assert.equal((await fetch("mail.here.test", "/mail/config-v1.1.xml", ...code)).stdout, "404");
    assert.equal((await fetch("autoconfig.here.test", "/mail/", ...code)).stdout, "404");
    assert.equal((await fetch("autoconfig.here.test", "/mail/config-v1.1.xml", "--data", "x", ...code)).stdout, "405");
  });

  test("lead to where mail is taken: the user logs in at the first server that they name", async () => {
    const sent = await program(
      "curl",
      [
        ...["--silent", "--show-error", "--max-time", "20", "--cacert", join(node.folder, "ca.pem")],
        ...["--resolve", `mail.here.test:${node.ports.submissions}:127.0.0.1`],
        ...["--url", `smtps://mail.here.test:${node.ports.submissions}`, "--user", "ann@here.test:the secret of ann"],
        ...["--mail-from", "ann@here.test", "--mail-rcpt", "ann@here.test", "--upload-file", "-"],
      ],
      "From: ann@here.test\r\nSubject: set up by itself\r\n\r\nbody\r\n",
    );
    assert.equal(sent.code, 0, sent.stderr);
    const [mail = ""] = await node.mailArrives("ann", 1);
    assert.match(mail, /^Subject: set up by itself\r?$/m);
  });

  test("are announced: postern dns prints the name and the services of each domain", async () => {
    const printed = await node.command("dns", "--json");
    assert.equal(printed.code, 0, printed.stderr);
    const { records } = JSON.parse(printed.stdout);
    assert.ok(Array.isArray(records));
    const of = (purpose: string) =>
      records.filter((record) => record.purpose === purpose).map(({ name, data }) => `${name} ${data}`);
    assert.deepEqual(of("autoconfigHost"), [
      "autoconfig.here.test mail.here.test.",
      "autoconfig.xn--gre-6ka8i.test mail.here.test.",
    ]);
    assert.deepEqual(of("access").slice(0, 2), [
      "_imaps._tcp.here.test 0 1 993 imap.here.test.",
      "_pop3._tcp.here.test 10 1 110 pop.here.test.",
    ]);
    assert.deepEqual(of("submission").slice(0, 2), [
      `_submissions._tcp.here.test 0 1 ${node.ports.submissions} mail.here.test.`,
      `_submission._tcp.here.test 10 1 ${node.ports.submission} mail.here.test.`,
    ]);
  });
});
