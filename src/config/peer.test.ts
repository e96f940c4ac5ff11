import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { formatMailbox } from "../smtp/index.ts";
import { parseConfig } from "./load.ts";
import { parseKeyPin } from "./values.ts";

const HEX = "00ff".repeat(16);
const BASE64 = Buffer.from(HEX, "hex").toString("base64");
const NAMED = `hostname = "a.test"\n[tls]\ncertificate = "c"\nprivate_key = "k"\n`;
const LISTENER = `[[listener]]\naddress = "127.0.0.1:2525"\nservice = "mx"\n`;
const ASKING = `${NAMED}${LISTENER}client_certificates = "request"\n`;

function problemsOf(source: string): readonly string[] {
  const parsed = parseConfig(source, "postern.toml");
  return parsed.ok ? [] : parsed.error.map(({ line, key }) => `${line} ${key}`);
}

test("a peer by its key, and one by authority and name", () => {
  const source = `${ASKING}
[[peer]]
name = "partner"
spki = ["${HEX}"]
relay = true
senders = ["@partner.example", "ann@b\u00fccher.example"]
limits = { message_size = "100 MiB", connections = 3 }
[[peer]]
name = "fleet"
ca = "tls/fleet.pem"
names = ["mx.b\u00fccher.example", "*"]
[peer.limits]
recipients = 5
transactions = 7
`;
  const [partner, fleet] = unwrap(parseConfig(source, "/etc/postern/postern.toml")).peers;
  assert.ok(partner !== undefined && fleet !== undefined);
  assert.deepEqual([partner.name, partner.spki, partner.ca, partner.relay], ["partner", [HEX], null, true]);
  assert.deepEqual(partner.limits, {
    messageSize: 100 * 1024 * 1024,
    recipients: null,
    transactions: null,
    connections: 3,
  });
  const [domain, address] = partner.senders;
  assert.deepEqual(domain, { kind: "domain", domain: "partner.example" });
  assert.ok(address?.kind === "address" && formatMailbox(address.mailbox) === "ann@b\u00fccher.example");
  assert.deepEqual(fleet.ca, { file: "/etc/postern/tls/fleet.pem", line: 18 });
  assert.deepEqual(fleet.names, ["mx.xn--bcher-kva.example", "*"]);
  assert.deepEqual(fleet.senders, [{ kind: "any" }]);
  assert.equal(fleet.relay, false);
  assert.deepEqual([fleet.limits.recipients, fleet.limits.transactions], [5, 7]);
});

test("a key's hash in hex, with colons, in base64, as curl writes it", () => {
  for (const written of [HEX, HEX.toUpperCase(), HEX.match(/../g)?.join(":") ?? "", BASE64, `sha256//${BASE64}`]) {
    assert.equal(unwrap(parseKeyPin(written)), HEX, written);
  }
  for (const wrong of ["", HEX.slice(2), `${HEX}00`, `sha1//${BASE64}`, BASE64.slice(4), `${BASE64}=`]) {
    assert.equal(parseKeyPin(wrong).ok, false, wrong);
  }
});

test("what is wrong with a peer is told with its line", () => {
  const source = [
    ...ASKING.trimEnd().split("\n"), // 8 lines
    "[[peer]]",
    'name = "no good"',
    'spki = ["abc"]',
    'senders = ["nobody"]',
    "[[peer]]",
    'name = "empty"',
    "[[peer]]",
    'name = "both"',
    `spki = ["${HEX}"]`,
    'ca = "x.pem"',
    "[[peer]]",
    'name = "both"',
    'ca = "x.pem"',
    "[[peer]]",
    'name = "loose"',
    'names = ["a.test"]',
    "[[peer]]",
    'name = "twice"',
    `spki = ["sha256//${BASE64}"]`,
    "limits = { message_size = 5 }",
  ].join("\n");
  assert.deepEqual(problemsOf(source), [
    "10 peer.name",
    "11 peer.spki",
    "12 peer.senders",
    "13 peer",
    "18 peer.ca",
    "20 peer.name",
    "21 peer.ca",
    "24 peer.names",
    "27 peer.spki",
    "28 peer.limits.message_size",
  ]);
});

test("a listener that asks for certificates has TLS, no tickets, and somebody to let in", () => {
  const peer = `[[peer]]\nname = "x"\nspki = ["${HEX}"]\n`;
  assert.deepEqual(problemsOf(`${ASKING}${peer}`), []);
  assert.deepEqual(problemsOf(`${NAMED}${LISTENER}${peer}`), ["8 peer"]);
  assert.deepEqual(problemsOf(`${NAMED}${LISTENER}client_certificates = "require"\n`), [
    "8 listener.client_certificates",
  ]);
  const none = `${NAMED}${LISTENER}client_certificates = "require"\ntls = "none"\n${peer}`;
  assert.deepEqual(problemsOf(none), ["8 listener.client_certificates"]);
  assert.deepEqual(problemsOf(`${ASKING}session_tickets = true\n${peer}`), ["9 listener.session_tickets"]);
  const [listener] = unwrap(parseConfig(`${NAMED}${LISTENER}session_tickets = true\n`, "x")).listeners;
  assert.deepEqual([listener?.sessionTickets, listener?.clientCertificates], [true, "none"]);
});
