import assert from "node:assert/strict";
import { pbkdf2Sync } from "node:crypto";
import { JsonLines, requestSchema } from "../../../src/admin/protocol.ts";
import { nodeScramCrypto } from "../../../src/client/scram-crypto.ts";
import { parseConfig } from "../../../src/config/index.ts";
import { HeaderScanner } from "../../../src/message/index.ts";
import {
  type DataReader,
  readAddress,
  readMx,
  readNameData,
  readNegativeTtl,
  readSrv,
  readTlsa,
  readTxt,
} from "../../../src/net/dns-data.ts";
import { isOfType, parseMessage, type RecordType } from "../../../src/net/dns-message.ts";
import { ProxyHeaderDecoder } from "../../../src/net/proxy-header.ts";
import {
  createSaslClient,
  createSaslServer,
  SASL_MECHANISMS,
  type SaslCredentials,
  type SaslMechanism,
  type SaslServerStep,
  type ScramKeys,
} from "../../../src/smtp/index.ts";
import { cutsOf } from "../cuts.ts";
import { latin1, octetsOf, type Target } from "../target.ts";

/** Header sections: the same however they come, and of what the limit allows. */
export const header: Target = {
  name: "header",
  words: [
    ...[
      "Subject: hi\r\n",
      "Received: from a\r\n\tby b\r\n",
      "Received:\n",
      "received : x\r\n",
      " folded\r\n",
      "\r\n",
      "\n",
    ],
    ...["\r", ":", "no field\r\n", "X-Y: \xff\r\n", "\0", "To: a@b.test\r\n", "TLS-Required: No\r\n", "a".repeat(90)],
  ],
  check(octets) {
    const limit = 256;
    const seen = cutsOf(octets).map((cut) => {
      const scanner = new HeaderScanner(limit);
      for (const piece of cut) scanner.push(piece);
      const progress = scanner.end();
      assert.ok(progress !== "open" && scanner.size <= limit);
      const first = scanner.first("Subject");
      assert.ok(first === null || !/\n/.test(first), "a value is unfolded");
      return [progress, scanner.size, scanner.count("received"), first];
    });
    for (const other of seen) assert.deepEqual(other, seen[0]);
    const received = latin1(octets).match(/^received[ \t]*:/gim)?.length ?? 0;
    assert.ok(Number(seen[0]?.[2]) <= received, "no hop is counted that is not there");
  },
};

const readers: readonly (readonly [RecordType, DataReader<unknown>])[] = [
  ["A", readAddress],
  ["AAAA", readAddress],
  ["CNAME", readNameData],
  ["PTR", readNameData],
  ["MX", readMx],
  ["TXT", readTxt],
  ["TLSA", readTlsa],
  ["SRV", readSrv],
  ["SOA", readNegativeTtl],
];

/** DNS answers: a message or a sentence; no record reaches beyond its own data. */
export const dns: Target = {
  name: "dns",
  words: [
    ...["\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0", "\x12\x34\x81\xa0\0\x01\0\x02\0\x01\0\x01", "\x07example\x04test\0"],
    ...[
      "\xc0\x0c",
      "\xc0\x00",
      "\xff\xff",
      "\0\x0f\0\x01",
      "\0\x01\0\x01",
      "\0\x1c\0\x01",
      "\0\x10\0\x01",
      "\0\x34\0\x01",
    ],
    ...[
      "\0\x06\0\x01",
      "\0\x05\0\x01",
      "\0\0\x29\x04\xd0\0\0\x80\0\0\0",
      "\0\0\x01\x2c",
      "\0\x04\xc0\0\x02\x01",
      "\0\x04\0\x0a\xc0\x0c",
    ],
    ...[
      "\0\x09\0\x0a\x04mail\xc0\x0c",
      "\0\x05\x04text",
      "\0\x23\x03\x01\x01",
      "\0\x03\x03\x01\x01",
      "\0",
      "\x3f",
      "\x40",
    ],
  ],
  check(octets) {
    const parsed = parseMessage(octets);
    if (!parsed.ok) {
      assert.equal(typeof parsed.error, "string");
      return;
    }
    const message = parsed.value;
    assert.ok(message.answers.length + message.authorities.length <= octets.length / 11, "a record takes 11 octets");
    for (const record of [...message.answers, ...message.authorities]) {
      assert.ok(record.start <= record.end && record.end <= octets.length && record.name.length <= 4 * 255);
      for (const [type, read] of readers) {
        const value = isOfType(record, type) ? read(message, record) : null;
        assert.ok(value !== undefined);
      }
    }
  },
};

/** A configuration or a list of problems, each with its line. */
export const config: Target = {
  name: "config",
  words: [
    ...['hostname = "mail.example.org"\n', 'data_dir = "data"\n', "[[listener]]\n", 'address = "127.0.0.1:2525"\n'],
    ...['service = "mx"\n', 'service = "submission"\n', 'tls = "starttls"\n', "[tls]\n", 'certificate = "c.pem"\n'],
    ...['private_key = "k.pem"\n', "[[domain]]\n", 'name = "example.org"\n', 'deliver = "maildir:data/{user}"\n'],
    ...["[relay]\n", 'networks = ["127.0.0.0/8"]\n', "[[route]]\n", 'match = "*"\n', 'via = "smtp://127.0.0.1:25"\n'],
    ...[
      "[limits]\n",
      'message_size = "50 MiB"\n',
      "recipients = 1000\n",
      "[a.b.c]\n",
      "x = {y = [1, {z = 2}]}\n",
      '"""',
    ],
    ...[
      "__proto__ = 1\n",
      "[__proto__]\n",
      "constructor.prototype.x = 1\n",
      "= ",
      "[[",
      "]]",
      "1979-05-27T07:32:00Z",
      "nan",
    ],
    ...["0x", "\\u", '"\\ud800"', "#", "'", "99999999999999999999", "-", "true\n"],
  ],
  check(octets) {
    const parsed = parseConfig(Buffer.from(octets).toString("utf8"), "/etc/postern.toml");
    assert.equal(Reflect.get({}, "x"), undefined, "no prototype is reached");
    if (parsed.ok) return;
    assert.ok(parsed.error.length > 0);
    for (const { line, problem, remedy } of parsed.error) {
      assert.ok((line === null || line >= 1) && problem !== "" && remedy !== "");
    }
  },
};

/** The control protocol: requests or nothing, and no line beyond the limit. */
export const control: Target = {
  name: "control",
  words: [
    ...[
      '{"operation":"list","limit":10}\n',
      '{"operation":"show","id":"x"}\n',
      '{"operation":"counts"}\n',
      "{",
      "}",
      "\n",
    ],
    ...[
      '{"operation":"act","action":"retry","target":{"all":true}}\n',
      '"__proto__":',
      "[",
      "]",
      ",",
      "null\n",
      "1e999\n",
    ],
    ...["[".repeat(200), '"\\ud800"', "a".repeat(120), '{"operation":"act","action":"remove","target":{"id":"x"}}\n'],
  ],
  check(octets) {
    const limit = 128;
    const outcomes = cutsOf(octets).map((cut) => {
      const decoder = new JsonLines(limit);
      const found: string[] = [];
      for (const piece of cut) {
        const complete = decoder.push(piece);
        if (complete === null) return { found, spent: true };
        for (const line of complete) {
          assert.ok(line.length <= limit && !line.includes("\n"));
          found.push(line);
        }
      }
      return { found, spent: false };
    });
    assert.equal(new Set(outcomes.map(({ spent }) => spent)).size, 1);
    const [whole, ...others] = outcomes;
    for (const { found } of others) if (whole?.spent === false) assert.deepEqual(found, whole.found);
    for (const line of whole?.found ?? []) {
      let value: unknown = null;
      try {
        value = JSON.parse(line);
      } catch (cause) {
        assert.ok(cause instanceof SyntaxError);
      }
      requestSchema.safeParse(value);
    }
  },
};

const salt = octetsOf("0123456789abcdef");
const salted = pbkdf2Sync("secret", salt, 4096, 32, "sha256");
const clientKey = nodeScramCrypto.hmac(salted, octetsOf("Client Key"));
const keys: ScramKeys = {
  salt,
  iterations: 4096,
  storedKey: nodeScramCrypto.hash(clientKey),
  serverKey: nodeScramCrypto.hmac(salted, octetsOf("Server Key")),
};
const scram = {
  crypto: { ...nodeScramCrypto, nonce: () => "ServerNonceServerNonce", pbkdf2: () => salted },
  decoySecret: salt,
  decoyIterations: 4096,
  channelBinding: (type: string) => (type === "tls-exporter" ? octetsOf("exported") : null),
};

const channel = { binding: { type: "tls-exporter", data: octetsOf("exported") }, plusOffered: true };

/** What a client of each mechanism knows. */
function credentialsFor(mechanism: SaslMechanism): SaslCredentials {
  if (mechanism === "EXTERNAL") return { external: true, authzid: "user" };
  if (mechanism === "OAUTHBEARER" || mechanism === "XOAUTH2") return { authcid: "user", token: "secret" };
  return { authcid: "user", password: "secret" };
}

/** The mechanisms against hostile clients and hostile servers; lines of the input are the messages of the peer. */
export const sasl: Target = {
  name: "sasl",
  words: [
    ...[
      "\0user\0secret",
      "user",
      "secret",
      "\n",
      "n,,n=user,r=abc",
      "n,a=other,n=user,r=abc",
      "y,,n=user,r=abc",
      "p=tls,,",
      "p=tls-exporter,,n=user,r=abc",
      "n,a=user,\x01auth=Bearer ey.J0\x01\x01",
      "user=user\x01auth=Bearer ya29.\x01\x01",
      "host=mx.test\x01port=587\x01",
      "\x01",
      "auth=",
      "Bearer ",
    ],
    ...[
      "c=biws,r=abcServerNonceServerNonce,p=",
      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
      "=2C",
      "=3D",
      "=",
      ",",
      "m=x,",
    ],
    ...[
      "r=ServerNonceServerNonceX,s=QUJD,i=4096",
      "i=99999999999",
      "v=QUJD",
      "e=other-error",
      "\0",
      "\xc3\xbc",
      "\xff",
      "*",
    ],
  ],
  check(octets) {
    const messages = latin1(octets).split("\n").map(octetsOf);
    for (const mechanism of SASL_MECHANISMS) {
      const server = createSaslServer(mechanism, scram);
      assert.ok(server !== null);
      let over = false;
      for (const message of messages) {
        const step = resolved(server.next(message));
        assert.ok(!over || step.kind === "failed", "an exchange that is over stays over");
        over ||= step.kind !== "challenge";
        assert.notEqual(step.kind, "authenticated", "nobody here knows the proof");
        if (step.kind === "external") assert.ok(step.authzid !== "" && step.authzid?.includes("\0") !== true);
        if (step.kind !== "password") continue;
        assert.ok(step.authcid !== "" && !step.authcid.includes("\0") && !step.password.includes("\0"));
      }
      const client = createSaslClient(mechanism, credentialsFor(mechanism), scram.crypto, channel);
      assert.ok(client !== null);
      for (const message of messages) client.next(message);
      assert.ok(!client.complete || !mechanism.startsWith("SCRAM-"), "no server here knows the password");
    }
  },
};

function resolved(step: SaslServerStep): SaslServerStep {
  if (step.kind === "lookup") return step.supply(step.authcid === "user" ? keys : null);
  if (step.kind !== "token") return step;
  assert.match(step.token, /^(?:[A-Za-z0-9._~+/-]+=*)?$/);
  return step.reject({ status: "invalid_token", scope: null, configuration: null });
}

/** Version 1 of the PROXY protocol in one expression; what it takes, the decoder may take. */
const PROXY_LINE = /^PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP[46] [0-9a-f.:]+ [0-9a-f.:]+ \d{1,5} \d{1,5})\r\n/i;

/** A header, the octets behind it untouched, or a problem; the same however it is cut. */
export const proxy: Target = {
  name: "proxy",
  words: [
    ...[
      "PROXY ",
      "TCP4 ",
      "TCP6 ",
      "UNKNOWN",
      "192.0.2.1 ",
      "192.0.2.2 ",
      "2001:db8::1 ",
      "::ffff:192.0.2.1 ",
      "40000 25",
    ],
    ...[
      "\r\n",
      "\r",
      "\n",
      "EHLO a\r\n",
      "\r\n\r\n\0\r\nQUIT\n",
      "\x21",
      "\x20",
      "\x11",
      "\x00",
      "\x0c",
      "\0\x0c",
      "\x24",
    ],
    ...["\xc0\0\x02\x01\xc0\0\x02\x02\x9c\x40\0\x19", "\x03\0\x04abcd", "\xff\xff", "65536", "0", " "],
  ],
  openings: [
    "PROXY TCP4 192.0.2.1 192.0.2.2 40000 25\r\n",
    "PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\nEHLO a\r\n",
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x9c\x40\0\x19",
    "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0EHLO a\r\n",
  ],
  check(octets) {
    const outcomes = cutsOf(octets).map((cut) => {
      const decoder = new ProxyHeaderDecoder();
      let came = 0;
      for (const piece of cut) {
        came += piece.length;
        const pushed = decoder.push(piece);
        if (!pushed.ok) return pushed.error;
        if (pushed.value === null) continue;
        const length = came - pushed.value.rest.length;
        assert.deepEqual(latin1(pushed.value.rest), latin1(octets.subarray(length, came)), "what follows is untouched");
        if (octets[0] !== 0x0d) assert.match(latin1(octets.subarray(0, length)), PROXY_LINE);
        return { header: pushed.value.header, length };
      }
      assert.ok(came <= 16 + 4096, "no header is longer");
      return null;
    });
    for (const other of outcomes) assert.deepEqual(other, outcomes[0]);
  },
};

export const surroundings: readonly Target[] = [proxy, header, dns, config, control, sasl];
