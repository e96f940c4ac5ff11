import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { unwrap } from "../base/index.ts";
import { loadConfig, parseConfig } from "./load.ts";
import { formatConfigProblem } from "./problems.ts";

const GOOD = `hostname = "Mail.Example.org"
data_dir = "data"

[[listener]]
address = "127.0.0.1:2525"
service = "mx"
tls = "starttls"

[[listener]]
address = "[::1]:0"
service = "submission"
tls = "implicit"
proxy = ["10.0.0.1"]
xclient = ["::1"]

[tls]
certificate = "cert.pem"
private_key = "/etc/key.pem"
[[tls.additional]]
certificate = "other/cert.pem"
private_key = "other/key.pem"

[[domain]]
name = "example.org"
deliver = "maildir:data/mail/{user}"
[[domain]]
name = "lists.example.org"
deliver = "lmtp://127.0.0.1:24"
[[domain]]
name = "void.example.org"
deliver = "discard:"

[relay]
networks = ["127.0.0.0/8", "::1", "2001:db8::/32"]

[[route]]
match = ".example.net"
via = "smtps://[2001:db8::25]:465"
tls = "verified"
[[route]]
match = "*"
via = "smtp://relay.example.com"

[delivery]
port = 2526

[dns]
servers = ["127.0.0.1:5353", "192.0.2.1"]
trust_ad = true

[limits]
message_size = "10 MiB"
recipients = 7

[queue]
retry_first = "30s"
give_up_after = "2d"
`;

const LISTENER = '[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n';

/** `line key` of each problem of a text, in the order given. */
function problemsOf(source: string): readonly string[] {
  const parsed = parseConfig(source, "postern.toml");
  return parsed.ok ? [] : parsed.error.map(({ line, key }) => `${line} ${key}`);
}

test("a full configuration becomes typed values with absolute paths", () => {
  const config = unwrap(parseConfig(GOOD, "/srv/mail/postern.toml"));
  assert.equal(config.hostname, "mail.example.org");
  assert.equal(config.folder, "/srv/mail");
  assert.equal(config.dataDir, "/srv/mail/data");
  assert.deepEqual(config.listeners, [
    {
      address: { address: "127.0.0.1", port: 2525 },
      service: "mx",
      tls: "starttls",
      clientCertificates: "none",
      sessionTickets: false,
      proxy: [],
      xclient: [],
    },
    {
      address: { address: "::1", port: 0 },
      service: "submission",
      tls: "implicit",
      clientCertificates: "none",
      sessionTickets: false,
      proxy: ["10.0.0.1/32"],
      xclient: ["::1/128"],
    },
  ]);
  assert.equal(config.tls?.nextPrivateKey, null);
  assert.deepEqual(config.tls?.keyPairs, [
    { certificate: "/srv/mail/cert.pem", privateKey: "/etc/key.pem" },
    { certificate: "/srv/mail/other/cert.pem", privateKey: "/srv/mail/other/key.pem" },
  ]);
  assert.deepEqual(config.domains, [
    { name: "example.org", deliver: { kind: "maildir", path: "/srv/mail/data/mail/{user}" }, recipients: ["*"] },
    { name: "lists.example.org", deliver: { kind: "lmtp", host: "127.0.0.1", port: 24 }, recipients: ["*"] },
    { name: "void.example.org", deliver: { kind: "discard" }, recipients: ["*"] },
  ]);
  assert.deepEqual(config.relay.networks, ["127.0.0.0/8", "::1/128", "2001:db8::/32"]);
  const unset = { ca: [], pins: [], minVersion: "TLSv1.2", clientCertificate: null } as const;
  assert.deepEqual(config.routes, [
    { match: ".example.net", via: { kind: "smtps", host: "2001:db8::25", port: 465 }, tls: "verified", ...unset },
    { match: "*", via: { kind: "smtp", host: "relay.example.com", port: 25 }, tls: "opportunistic", ...unset },
  ]);
  assert.equal(config.delivery.port, 2526);
  assert.deepEqual(config.dns, {
    servers: [
      { address: "127.0.0.1", port: 5353 },
      { address: "192.0.2.1", port: 53 },
    ],
    trustAd: true,
  });
  assert.equal(config.limits.messageSize, 10 * 1024 * 1024);
  assert.equal(config.limits.recipients, 7);
  assert.equal(config.queue.retryFirst, 30_000);
  assert.equal(config.queue.giveUpAfter, 2 * 86_400_000);
});

test("defaults stand where nothing is written", () => {
  const config = unwrap(parseConfig(`hostname = "a.test"\n${LISTENER}`, "postern.toml"));
  assert.equal(config.limits.messageSize, 50 * 1024 * 1024);
  assert.equal(config.limits.recipients, 1000);
  assert.equal(config.queue.retryFirst, 300_000);
  assert.equal(config.queue.giveUpAfter, 5 * 86_400_000);
  assert.equal(config.delivery.port, 25);
  assert.deepEqual(config.dns, { servers: [], trustAd: false });
  assert.deepEqual(config.routes, []);
  assert.equal(config.tls, null);
});

test("every problem is listed, in order, with its line and key", () => {
  const source = [
    'hostnam = "x"',
    'data_dir = ""',
    "[[listener]]",
    'address = "127.0.0.1:99999"',
    'service = "mxx"',
    'tls = "none"   # fine',
    "[[domain]]",
    'name = "exa mple"',
    'deliver = "maildir:x/{usr}"',
    "[relay]",
    "networks = [",
    '  "10.0.0.0/8", # fine',
    '  "10.0.0.0/33",',
    "  5,",
    "]",
    "[[route]]",
    'match = "a.test"',
    'via = "smtp://127.0.0.1:0"',
    "[[route]]",
    'tls = "encrypt"',
    "[limits]",
    "message_size = 50",
    "recipients = 0",
    "[queue]",
    'give_up_after = "5 weeks"',
    "[dns]",
    'trust_ad = "yes"',
    "[foo]",
  ].join("\n");
  assert.deepEqual(problemsOf(source), [
    "1 hostname",
    "1 hostnam",
    "2 data_dir",
    "4 listener.address",
    "5 listener.service",
    "8 domain.name",
    "9 domain.deliver",
    "13 relay.networks",
    "14 relay.networks",
    "18 route.via",
    "19 route.match",
    "20 route.tls",
    "22 limits.message_size",
    "23 limits.recipients",
    "25 queue.give_up_after",
    "27 dns.trust_ad",
    "28 foo",
  ]);
});

test("settings that contradict each other are problems too", () => {
  const doubled = `hostname = "a.test"\n${LISTENER}${LISTENER}`;
  assert.deepEqual(problemsOf(doubled), ["7 listener.address"]);
  const uncertified = 'hostname = "a.test"\n[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\n';
  assert.deepEqual(problemsOf(uncertified), ["2 listener"]);
  const clear = `hostname = "a.test"\n${LISTENER.replace('"mx"', '"submission"')}`;
  assert.deepEqual(problemsOf(clear), ["5 listener.tls"]);
  const domain = '[[domain]]\nname = "B.test"\ndeliver = "discard:"\n';
  assert.deepEqual(problemsOf(`hostname = "a.test"\n${LISTENER}${domain}${domain.toLowerCase()}`), ["10 domain.name"]);
  const spellings = ["b\u00fccher.test", "xn--bcher-kva.test"].map(
    (name) => `[[domain]]\nname = "${name}"\ndeliver = "discard:"\n`,
  );
  assert.deepEqual(problemsOf(`hostname = "a.test"\n${LISTENER}${spellings.join("")}`), ["10 domain.name"]);
  const routes = '[[route]]\nmatch = "*"\n[[route]]\nmatch = "b.test"\n';
  assert.deepEqual(problemsOf(`hostname = "a.test"\n${LISTENER}${routes}`), ["9 route.match"]);
  const waits = '[queue]\nretry_first = "5h"\n';
  assert.deepEqual(problemsOf(`hostname = "a.test"\n${LISTENER}${waits}`), ["6 queue.retry_longest"]);
});

test("an empty file misses what has no default", () => {
  assert.deepEqual(problemsOf(""), ["1 hostname", "1 listener"]);
});

test("a text that is not TOML is one problem at its line", () => {
  assert.deepEqual(problemsOf('hostname = "a.test"\n\nlistener = =\n'), ["3 "]);
  assert.deepEqual(problemsOf('a = "x\n'), ["1 "]);
});

test("the nearest known name is suggested", () => {
  const parsed = parseConfig(
    `hostname = "a.test"\n${LISTENER}[limits]\nrecipient = 1\nmessage-size = "1 MiB"\n`,
    "p.toml",
  );
  assert.ok(!parsed.ok);
  assert.match(parsed.error[0]?.remedy ?? "", /\brecipients\b/);
  assert.match(parsed.error[1]?.remedy ?? "", /\bmessage_size\b/);
});

test("a formatted problem is one line without escapes", () => {
  const parsed = parseConfig('"\\u001b[31m\\n" = 1\n', "p.toml");
  assert.ok(!parsed.ok);
  for (const problem of parsed.error) assert.doesNotMatch(formatConfigProblem(problem), /[\u0000-\u001f\u007f]/);
});

test("keys are found in inline tables, dotted keys and strings over many lines", () => {
  const source = `# """\nhostname = """
a.test"""
limits = { recipients = 1, errors = 0 }
log.level = "loud"
${LISTENER}`;
  // TOML trims the newline right after the opening quotes.
  assert.deepEqual(problemsOf(source), ["4 limits.errors", "5 log.level"]);
});

test("a file that is not there, or a folder, is a problem without a line", () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-config-"));
  try {
    for (const file of [join(folder, "none.toml"), folder]) {
      const loaded = loadConfig(file);
      assert.ok(!loaded.ok);
      assert.deepEqual(
        loaded.error.map((problem) => problem.line),
        [null],
      );
    }
    writeFileSync(join(folder, "postern.toml"), GOOD);
    assert.equal(unwrap(loadConfig(join(folder, "postern.toml"))).dataDir, join(folder, "data"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("no text makes the reader throw or hang", () => {
  const pieces = [
    "[[listener]]",
    "[tls",
    "]",
    "a.b",
    "=",
    '"',
    "'",
    '"""',
    "{",
    "}",
    ",",
    "\n",
    "#",
    "1",
    "hostname",
    "\\",
    "é",
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 20 }), (parts) => {
      const parsed = parseConfig(parts.join(""), "p.toml");
      assert.ok(!parsed.ok && parsed.error.length > 0);
    }),
  );
});

test("the key of the next certificate is a path like the others, relative to the file", () => {
  const source = `
hostname = "mail.example.org"
[[listener]]
address = "127.0.0.1:2525"
service = "mx"
[tls]
certificate = "cert.pem"
private_key = "key.pem"
next_private_key = "next/key.pem"
`;
  const parsed = parseConfig(source, "/etc/postern/postern.toml");
  assert.ok(parsed.ok);
  assert.equal(parsed.value.tls?.nextPrivateKey, "/etc/postern/next/key.pem");
});

test("reports on TLS come from the postmaster of this server, unless others are named, in ASCII", () => {
  const base =
    'hostname = "mail.bücher.example"\n[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\ntls = "none"\n';
  const plain = parseConfig(base, "/etc/postern.toml");
  assert.deepEqual(plain.ok && plain.value.tlsReport, {
    send: true,
    contact: "postmaster@mail.xn--bcher-kva.example",
    from: "postmaster@mail.xn--bcher-kva.example",
    organization: "mail.bücher.example",
    networks: [],
  });
  const named = parseConfig(`${base}[tls_report]\ncontact = "tls@example.org"`, "/etc/postern.toml");
  assert.equal(named.ok && named.value.tlsReport.from, "tls@example.org");
  for (const contact of ["tls", "tls@[192.0.2.1]", "tls@bücher.example", "a b@example.org"]) {
    const refused = parseConfig(`${base}[tls_report]\ncontact = ${JSON.stringify(contact)}`, "/etc/postern.toml");
    assert.deepEqual(!refused.ok && refused.error.map(({ key }) => key), ["tls_report.contact"], contact);
  }
});

test("what users may send as has a default that is strict, and takes no other words", () => {
  const base = 'hostname = "x.test"\n[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n';
  const given = (section: string) => parseConfig(`${base}${section}`, "/postern.toml");
  const plain = given("");
  assert.ok(plain.ok);
  const { limits, addressLimits, ...rules } = plain.value.submission;
  assert.deepEqual(rules, { sender: "enforce", qualifyDomain: null, hideClient: false });
  assert.equal(limits.new_recipients_per_day, 2000);
  assert.ok(Object.values(addressLimits).every((limit) => limit === 0));
  const all = given('[submission]\nsender = "correct"\nqualify_domain = "Here.test"\nhide_client = true\n');
  assert.deepEqual(all.ok && { ...all.value.submission, limits, addressLimits }, {
    sender: "correct",
    qualifyDomain: "here.test",
    hideClient: true,
    limits,
    addressLimits,
  });
  const wrong = given('[submission]\nsender = "trust"\nqualify_domain = "ann@here.test"\n');
  assert.deepEqual(wrong.ok ? [] : wrong.error.map(({ key }) => key), [
    "submission.sender",
    "submission.qualify_domain",
  ]);
});

test("the name of the server is in A-labels, however it is written", () => {
  const config = unwrap(parseConfig(`hostname = "Mail.B\u00fccher.test"\n${LISTENER}`, "/etc/postern.toml"));
  assert.equal(config.hostname, "mail.xn--bcher-kva.test");
});
