// Stock clients log in by each mechanism: bound to TLS, by token, by certificate; and what is wrong is refused to them.
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import nodemailer from "nodemailer";
import { makeCertificate } from "../../src/testing/index.ts";
import { freePorts, type Node, postern, startNode } from "../node.ts";
import { startTokenIssuer, type TokenIssuer } from "../token-issuer.ts";
import { needs, program } from "./peers.ts";

const gsasl = await needs("gsasl");
const curl = await needs("curl");
const msmtp = await needs("msmtp");

const USER = "ada@here.test";
const PASSWORD = "correct horse battery staple";
const MESSAGE = `From: ${USER}\r\nTo: bob@here.test\r\nSubject: hello\r\n\r\nhi\r\n`;

const own = makeCertificate({ names: ["ada.laptop.test"] });
const strange = makeCertificate({ names: ["ada.laptop.test"] });
const keyOf = (pem: string): string =>
  createHash("sha256")
    .update(new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");

let node: Node;
let issuer: TokenIssuer;
let certified = 0;
let token = "";

before(async () => {
  issuer = await startTokenIssuer();
  token = await issuer.token();
  [certified = 0] = await freePorts(1);
  node = await startNode({
    hostname: "submit.here.test",
    domains: ["here.test"],
    users: { [USER]: PASSWORD, "bob@here.test": "another" },
    files: {
      "issuer.pem": issuer.ca,
      "own.pem": own.certificate,
      "own.key": own.privateKey,
      "strange.pem": strange.certificate,
      "strange.key": strange.privateKey,
      "message.eml": MESSAGE,
    },
    config: [
      `[[listener]]\naddress = "127.0.0.1:${certified}"\nservice = "submission"\nclient_certificates = "request"`,
      `[[peer]]\nname = "laptop"\nspki = ["${keyOf(own.certificate)}"]\nuser = "${USER}"`,
      `[auth.oauth]\nissuer = "${issuer.issuer}"\naudience = "mail"\njwks_url = "${issuer.jwksUrl}"\nca = ["issuer.pem"]`,
    ].join("\n"),
  });
});
after(async () => {
  await node?.[Symbol.asyncDispose]();
  await issuer?.close();
});

const file = (name: string): string => join(node.folder, name);
const certificate = (name: string) => [`${name}.pem`, `${name}.key`].map(file);

describe("GNU SASL's gsasl", gsasl, () => {
  const login = (mechanism: string, ...options: readonly string[]) =>
    program("gsasl", [
      ...["--smtp", "--starttls", `--x509-ca-file=${file("cert.pem")}`, "--verbose", "--quiet"],
      ...[`--mechanism=${mechanism}`, ...options, "localhost", String(node.ports.submission)],
    ]);
  const by = (password: string, user = USER) => [`--authentication-id=${user}`, `--password=${password}`];

  test("binds SCRAM-SHA-256-PLUS to TLS 1.3 by its exporter (RFC 9266)", async () => {
    const ran = await login("SCRAM-SHA-256-PLUS", ...by(PASSWORD));
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    assert.match(ran.stdout, /235 2\.7\.0/);
  });

  test("is refused with a wrong password, bound or not", async () => {
    for (const mechanism of ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]) {
      const ran = await login(mechanism, ...by("guess"), ...(mechanism.endsWith("PLUS") ? [] : ["--no-cb"]));
      assert.notEqual(ran.code, 0, mechanism);
      assert.match(ran.stdout + ran.stderr, /535 5\.7\.8/, mechanism);
    }
  });

  test("without channel binding logs in by plain SCRAM, PLAIN and LOGIN", async () => {
    for (const mechanism of ["SCRAM-SHA-256", "PLAIN", "LOGIN"]) {
      const ran = await login(mechanism, "--no-cb", ...by(PASSWORD));
      assert.equal(ran.code, 0, mechanism + ran.stdout + ran.stderr);
    }
  });
});

describe("curl", curl, () => {
  const send = (mechanism: string, port: number, to: string, ...options: readonly string[]) =>
    program("curl", [
      ...["--silent", "--show-error", "--verbose", "--ssl-reqd", "--cacert", file("cert.pem")],
      ...["--mail-from", USER, "--mail-rcpt", `${to}@here.test`, "--upload-file", file("message.eml")],
      ...["--login-options", `AUTH=${mechanism}`, ...options, `smtp://localhost:${port}/client.test`],
    ]);

  for (const mechanism of ["PLAIN", "LOGIN"]) {
    test(`submits by ${mechanism}, with its initial response and without`, async () => {
      const to = `curl-${mechanism.toLowerCase()}`;
      for (const early of ["--sasl-ir", "--no-sasl-ir"]) {
        const ran = await send(mechanism, node.ports.submission, to, early, "--user", `${USER}:${PASSWORD}`);
        assert.equal(ran.code, 0, ran.stderr);
      }
      await node.mailArrives(to, 2);
      const wrong = await send(mechanism, node.ports.submission, to, "--user", `${USER}:guess`);
      assert.equal(wrong.code, 67, "login denied");
    });
  }

  test("submits by SCRAM-SHA-256 where its build has it", async (context) => {
    const { stdout } = await program("curl", ["--version"]);
    if (!/^Features:.*\bgsasl\b/m.test(stdout)) return context.skip("this curl is built without gsasl");
    const ran = await send("SCRAM-SHA-256", node.ports.submission, "curl-scram", "--user", `${USER}:${PASSWORD}`);
    assert.equal(ran.code, 0, ran.stderr);
  });

  for (const mechanism of ["OAUTHBEARER", "XOAUTH2"]) {
    test(`submits by ${mechanism}; an expired token is told so and refused`, async () => {
      const to = `curl-${mechanism.toLowerCase()}`;
      const by = (bearer: string) => ["--oauth2-bearer", bearer, "--user", USER];
      for (const early of ["--sasl-ir", "--no-sasl-ir"]) {
        const ran = await send(mechanism, node.ports.submission, to, early, ...by(token));
        assert.equal(ran.code, 0, ran.stderr);
      }
      await node.mailArrives(to, 2);
      const old = await issuer.token({ exp: Math.floor(Date.now() / 1000) - 3600 });
      const refused = await send(mechanism, node.ports.submission, to, ...by(old));
      assert.equal(refused.code, 67, refused.stderr);
      assert.match(refused.stderr, /< 334 ey/);
      assert.match(refused.stderr, /< 535 5\.7\.8/);
      const nobody = await send(
        mechanism,
        node.ports.submission,
        to,
        ...by(await issuer.token({ email: "x@here.test" })),
      );
      assert.equal(nobody.code, 67, "who is no user");
    });
  }

  test("submits by its certificate, and by a strange one is not even offered to", async () => {
    const by = (name: string) => {
      const [pem = "", key = ""] = certificate(name);
      return ["--cert", pem, "--key", key, "--user", `${USER}:`];
    };
    const ran = await send("EXTERNAL", certified, "curl-external", ...by("own"));
    assert.equal(ran.code, 0, ran.stderr);
    await node.mailArrives("curl-external", 1);
    const stranger = await send("EXTERNAL", certified, "curl-external", ...by("strange"));
    assert.equal(stranger.code, 67, stranger.stderr);
    assert.doesNotMatch(stranger.stderr, /AUTH.*EXTERNAL\b/);
  });
});

describe("msmtp", msmtp, () => {
  const send = (mechanism: string, port: number, to: string, ...options: readonly string[]) =>
    program(
      "msmtp",
      [
        ...[
          "--host=localhost",
          `--port=${port}`,
          "--tls=on",
          "--tls-starttls=on",
          `--tls-trust-file=${file("cert.pem")}`,
        ],
        ...[`--auth=${mechanism}`, `--user=${USER}`, `--from=${USER}`, ...options, "--", `${to}@here.test`],
      ],
      MESSAGE,
    );

  for (const mechanism of ["oauthbearer", "xoauth2"]) {
    test(`submits by ${mechanism}`, async () => {
      const ran = await send(mechanism, node.ports.submission, `msmtp-${mechanism}`, `--passwordeval=echo ${token}`);
      assert.equal(ran.code, 0, ran.stderr);
      await node.mailArrives(`msmtp-${mechanism}`, 1);
      const refused = await send(mechanism, node.ports.submission, "x", "--passwordeval=echo nonsense");
      assert.notEqual(refused.code, 0);
    });
  }

  test("submits by its certificate", async () => {
    const [pem = "", key = ""] = certificate("own");
    const shown = [`--tls-cert-file=${pem}`, `--tls-key-file=${key}`];
    const ran = await send("external", certified, "msmtp-external", ...shown);
    assert.equal(ran.code, 0, ran.stderr);
    await node.mailArrives("msmtp-external", 1);
  });
});

test("nodemailer submits by a token", async () => {
  const transport = nodemailer.createTransport({
    host: "127.0.0.1",
    port: node.ports.submission,
    requireTLS: true,
    tls: { rejectUnauthorized: false },
    auth: { type: "OAuth2", user: USER, accessToken: token },
  });
  await transport.sendMail({ from: USER, to: "nodemailer@here.test", subject: "x", text: "y" });
  transport.close();
  await node.mailArrives("nodemailer", 1);
});

describe("Postern's own command line", () => {
  const send = (port: number, to: string, input: string, ...options: readonly string[]) =>
    postern(
      [
        ...["send", "--server", `localhost:${port}`, "--ca", file("cert.pem"), ...options],
        ...["--from", USER, "--to", `${to}@here.test`],
      ],
      input + MESSAGE,
    );

  test("binds to TLS by itself, and by choice speaks each other mechanism", async () => {
    for (const mechanism of ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]) {
      const by = ["--user", USER, "--password-stdin", "--mechanism", mechanism];
      const ran = await send(node.ports.submission, "cli", `${PASSWORD}\n`, ...by);
      assert.equal(ran.code, 0, mechanism + ran.stderr);
    }
    await node.mailArrives("cli", 4);
  });

  test("shows a token, and a certificate", async () => {
    for (const mechanism of ["OAUTHBEARER", "XOAUTH2"]) {
      const by = ["--user", USER, "--token-stdin", "--mechanism", mechanism];
      const ran = await send(node.ports.submission, "cli-token", `${token}\n`, ...by);
      assert.equal(ran.code, 0, ran.stderr);
      const wrong = await send(node.ports.submission, "cli-token", "nonsense\n", ...by);
      assert.match(wrong.stderr, /535 5\.7\.8/);
    }
    const [pem = "", key = ""] = certificate("own");
    const shown = ["--client-certificate", pem, "--client-key", key];
    for (const by of [
      ["--mechanism", "EXTERNAL"],
      ["--user", USER],
    ]) {
      const ran = await send(certified, "cli-token", "", ...shown, ...by);
      assert.equal(ran.code, 0, ran.stderr);
    }
    await node.mailArrives("cli-token", 4);
  });
});

test("no token, password or key of theirs stands in the log", async () => {
  const log = JSON.stringify(node.log);
  for (const secret of [PASSWORD, token, token.split(".")[2] ?? "", Buffer.from(PASSWORD).toString("base64")]) {
    assert.ok(secret.length > 8 && !log.includes(secret), "a secret was logged");
  }
});
