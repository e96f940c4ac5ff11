// Programs of others show client certificates, and are known by them.
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeAuthority, makeCertificate } from "../../src/testing/index.ts";
import { freePorts, type Node, startNode } from "../node.ts";
import { needs, program } from "./peers.ts";
import { startPostfix } from "./postfix.ts";

const authority = makeAuthority({ name: "partner authority" });
const known = makeCertificate({ names: ["mx.partner.example"], issuer: authority });
const pinned = makeCertificate({ names: ["self-signed.example"], keyType: "rsa-2048" });
const unknown = makeCertificate({ names: ["mx.partner.example"] });

let node: Node;
let mx = 0;
before(async () => {
  [mx = 0] = await freePorts(1);
  const key = new X509Certificate(pinned.certificate).publicKey.export({ type: "spki", format: "der" });
  node = await startNode({
    domains: ["here.test"],
    files: {
      "authority.pem": authority.certificate,
      "known.pem": known.certificate,
      "known.key": known.privateKey,
      "pinned.pem": pinned.certificate,
      "pinned.key": pinned.privateKey,
      "unknown.pem": unknown.certificate,
      "unknown.key": unknown.privateKey,
    },
    config: [
      `[[listener]]\naddress = "127.0.0.1:${mx}"\nservice = "mx"\nclient_certificates = "require"`,
      '[[peer]]\nname = "partner"\nca = "authority.pem"\nnames = ["mx.partner.example"]\nrelay = true',
      `[[peer]]\nname = "pinned"\nspki = ["${createHash("sha256").update(key).digest("hex")}"]`,
      '[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:1"\n',
    ].join("\n"),
  });
});
after(() => node?.[Symbol.asyncDispose]());

const file = (name: string): string => join(node.folder, name);

describe("openssl s_client", await needs("openssl"), () => {
  const talk = (name: string | null) => {
    const shown = name === null ? [] : ["-cert", file(`${name}.pem`), "-key", file(`${name}.key`)];
    const target = ["-connect", `127.0.0.1:${mx}`, "-starttls", "smtp", "-crlf", "-ign_eof", ...shown];
    return program("openssl", ["s_client", ...target], "EHLO client.test\nQUIT\n");
  };

  test("is asked without being told of any authority, and known, or refused by 554 and not by an alert", async () => {
    const partner = await talk("known");
    assert.match(partner.stdout, /No client certificate CA names sent/);
    assert.match(partner.stdout, /^250[- ]node\.test/m);
    for (const stranger of ["unknown", null]) {
      const refused = await talk(stranger);
      assert.match(refused.stdout, /^554 5\.7\.8 /m, String(stranger));
      assert.match(refused.stdout, /^221 /m, String(stranger));
    }
  });
});

describe("swaks", await needs("swaks"), () => {
  const swaks = (name: string, to: string) =>
    program("swaks", [
      ...["--server", `127.0.0.1:${mx}`, "--from", "a@partner.example", "--to", to, "--tls"],
      ...["--tls-cert", file(`${name}.pem`), "--tls-key", file(`${name}.key`)],
    ]);

  test("a peer by its key sends to our domains, and may not relay", async () => {
    const ran = await swaks("pinned", "swaks@here.test");
    assert.equal(ran.code, 0, ran.stdout);
    const [mail = ""] = await node.mailArrives("swaks", 1);
    assert.match(mail, /\(client certificate "pinned" verified\)/);
    assert.match((await swaks("pinned", "x@elsewhere.test")).stdout, /<~\* 550 5\.7\.1/);
    assert.match((await swaks("unknown", "swaks@here.test")).stdout, /<~\* 554 5\.7\.8/);
  });
});

test("Python's smtplib relays by its certificate", await needs("python3"), async () => {
  const script = `
import smtplib, ssl, sys
context = ssl._create_unverified_context()
context.load_cert_chain(sys.argv[2], sys.argv[3])
with smtplib.SMTP("127.0.0.1", int(sys.argv[1])) as s:
    s.starttls(context=context)
    s.ehlo("client.test")
    print(s.mail("a@partner.example")[0], s.rcpt("x@elsewhere.test")[0])
`;
  const ran = await program("python3", ["-c", script, String(mx), file("known.pem"), file("known.key")]);
  assert.equal(ran.stdout.trim(), "250 250", ran.stderr);
});

test("Postfix hands on its mail by its certificate", await needs("postfix"), async () => {
  const [port = 0] = await freePorts(1);
  const postfix = await startPostfix({
    port,
    settings: {
      relayhost: `[127.0.0.1]:${mx}`,
      smtp_tls_security_level: "encrypt",
      smtp_tls_cert_file: file("known.pem"),
      smtp_tls_key_file: file("known.key"),
      smtp_tls_loglevel: "1",
    },
  });
  try {
    const sent = await program("python3", [
      "-c",
      `import smtplib; smtplib.SMTP("127.0.0.1", ${port}).sendmail("a@partner.example", ["postfix@here.test"], "Subject: x\\r\\n\\r\\nx\\r\\n")`,
    ]);
    assert.equal(sent.code, 0, sent.stderr);
    const [mail = ""] = await node.mailArrives("postfix", 1).catch(async (cause: unknown) => {
      throw new Error(await postfix.log(), { cause });
    });
    assert.match(mail, /\(client certificate "partner" verified\)/);
  } finally {
    await postfix.stop();
  }
});
