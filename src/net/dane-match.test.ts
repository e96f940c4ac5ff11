import assert from "node:assert/strict";
import { createHash, createPrivateKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DAY, unwrap } from "../base/index.ts";
import { type AuthorityOptions, type CertificateOptions, makeAuthority, makeCertificate } from "./certificate.ts";
import { certificateFields, childrenOf, derElements } from "./certificate-fields.ts";
import { matchDane, usableTlsa } from "./dane-match.ts";
import { bitString, sequence } from "./der.ts";
import type { TlsaRecord } from "./resolver.ts";
import type { KeyPair } from "./tls-server.ts";

const NOW = Date.now();
const root = makeAuthority({ name: "root" });
const middle = makeAuthority({ name: "middle", issuer: root });
const leaf = makeCertificate({ names: ["mx.test"], issuer: middle });
const other = makeAuthority({ name: "other" });

function x509({ certificate }: KeyPair): X509Certificate {
  return new X509Certificate(certificate);
}

/** A record that means a certificate, in the notation of zone files: "3 1 1". */
function tlsa(parameters: string, pair: KeyPair): TlsaRecord {
  const [usage = 0, selector = 0, matchingType = 0] = parameters.split(" ").map(Number);
  const certificate = x509(pair);
  const selected = selector === 0 ? certificate.raw : certificate.publicKey.export({ type: "spki", format: "der" });
  const digest = [null, "sha256", "sha512"][matchingType] ?? null;
  const data = digest === null ? selected : createHash(digest).update(selected).digest();
  return { usage, selector, matchingType, data: new Uint8Array(data) };
}

interface Case {
  readonly chain?: readonly KeyPair[];
  readonly records: readonly TlsaRecord[];
  readonly names?: readonly string[];
  readonly now?: number;
}

/** The parameters of the record that was met, or the reason why none was. */
function outcome({ chain = [leaf, middle, root], records, names = ["mx.test"], now = NOW }: Case): string {
  const matched = matchDane({ chain: chain.map(x509), records, names, now });
  if (!matched.ok) {
    assert.ok(!matched.error.detail.includes("\n"));
    return String(matched.error.reason);
  }
  const { usage, selector, matchingType } = matched.value;
  return `${usage} ${selector} ${matchingType}`;
}

describe("usage 3 (RFC 7672 §3.1.1)", () => {
  test("each selector and matching type, by the server's own certificate alone", () => {
    for (const parameters of ["3 0 0", "3 0 1", "3 0 2", "3 1 0", "3 1 1", "3 1 2"]) {
      assert.equal(outcome({ records: [tlsa(parameters, leaf)] }), parameters);
      assert.equal(outcome({ records: [tlsa(parameters, other), tlsa(parameters, leaf)] }), parameters);
      assert.equal(outcome({ records: [tlsa(parameters, other)] }), "dane", parameters);
      assert.equal(outcome({ records: [tlsa(parameters, middle)] }), "dane", parameters);
      assert.equal(outcome({ chain: [], records: [tlsa(parameters, leaf)] }), "dane", parameters);
    }
  });

  test("names and dates do not count", () => {
    const stale = makeCertificate({ names: ["old.test"], notBefore: new Date(NOW - 9 * DAY), days: 2 });
    assert.equal(outcome({ chain: [stale], records: [tlsa("3 1 1", stale)], names: [] }), "3 1 1");
  });

  test("a renewed certificate with the same key meets the selector of the key only", () => {
    const renewed = makeCertificate({ names: ["mx.test"], privateKey: leaf.privateKey });
    assert.equal(outcome({ chain: [renewed], records: [tlsa("3 1 1", leaf)] }), "3 1 1");
    assert.equal(outcome({ chain: [renewed], records: [tlsa("3 0 1", leaf)] }), "dane");
  });

  test("one octet of difference is one too many", () => {
    const record = tlsa("3 1 1", leaf);
    fc.assert(
      fc.property(fc.nat({ max: 31 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const data = record.data.map((octet, index) => (index === at ? octet ^ flip : octet));
        return outcome({ records: [{ ...record, data }] }) === "dane";
      }),
    );
  });
});

describe("usage 2 (RFC 7672 §3.1.2)", () => {
  test("an authority that the server sends, root or intermediate", () => {
    for (const parameters of ["2 0 0", "2 0 1", "2 0 2", "2 1 0", "2 1 1", "2 1 2"]) {
      assert.equal(outcome({ records: [tlsa(parameters, root)] }), parameters);
      assert.equal(outcome({ records: [tlsa(parameters, middle)] }), parameters);
      assert.equal(outcome({ chain: [leaf, root, other, middle], records: [tlsa(parameters, root)] }), parameters);
      assert.equal(outcome({ records: [tlsa(parameters, other)] }), "dane");
      assert.equal(outcome({ chain: [leaf, middle, other], records: [tlsa(parameters, other)] }), "dane");
      assert.equal(outcome({ records: [tlsa(parameters, leaf)] }), "dane", "the server's own is no authority");
    }
  });

  test("one that it does not send, as far as DNS holds it in full (RFC 7671 §5.2.2, §5.2.3)", () => {
    for (const parameters of ["2 0 0", "2 1 0"]) {
      assert.equal(outcome({ chain: [leaf, middle], records: [tlsa(parameters, root)] }), parameters);
      assert.equal(outcome({ chain: [leaf], records: [tlsa(parameters, root)] }), "dane", "a link is missing");
      assert.equal(outcome({ chain: [leaf], records: [tlsa(parameters, middle)] }), parameters);
    }
    for (const parameters of ["2 0 1", "2 1 1"]) {
      assert.equal(outcome({ chain: [leaf, middle], records: [tlsa(parameters, root)] }), "dane");
    }
  });

  test("names one of the reference identifiers (RFC 7672 §3.2.2, §3.2.3)", () => {
    const records = [tlsa("2 0 1", root)];
    assert.equal(outcome({ records, names: ["wrong.test"] }), "name");
    assert.equal(outcome({ records, names: [] }), "name");
    assert.equal(outcome({ records, names: ["wrong.test", "MX.test"] }), "2 0 1");
    const named = (options: CertificateOptions): KeyPair[] => [makeCertificate({ issuer: root, ...options }), root];
    const wild = named({ names: ["*.wild.test"] });
    assert.equal(outcome({ chain: wild, records, names: ["a.wild.test"] }), "2 0 1");
    assert.equal(outcome({ chain: wild, records, names: ["a.b.wild.test"] }), "name");
    assert.equal(outcome({ chain: named({ names: ["m*.test"] }), records }), "name");
    const byAddress = named({ names: [], ip: ["192.0.2.1"], commonName: "mx.test" });
    assert.equal(outcome({ chain: byAddress, records }), "2 0 1", "the common name, where there is no DNS name");
    assert.equal(outcome({ chain: named({ names: ["a.test"], commonName: "mx.test" }), records }), "name");
  });

  test("dates count for the whole path", () => {
    const old = { notBefore: new Date(NOW - 9 * DAY), days: 2 };
    const early = { notBefore: new Date(NOW + DAY) };
    const records = [tlsa("2 0 1", root)];
    for (const [dates, reason] of [
      [old, "expired"],
      [early, "untrusted"],
    ] as const) {
      const stale = makeCertificate({ names: ["mx.test"], issuer: root, ...dates });
      assert.equal(outcome({ chain: [stale, root], records }), reason);
      const between = makeAuthority({ name: "between", issuer: root, ...dates });
      const below = makeCertificate({ names: ["mx.test"], issuer: between });
      assert.equal(outcome({ chain: [below, between, root], records }), reason);
      assert.equal(outcome({ chain: [below, between, root], records: [tlsa("2 0 1", between)] }), reason);
    }
    assert.equal(outcome({ records, now: NOW + 400 * DAY }), "expired");
    assert.equal(outcome({ chain: [leaf, middle], records: [tlsa("2 1 0", root)], now: NOW + 400 * DAY }), "expired");
  });

  test("who signs must be an authority, and in its bounds", () => {
    const records = [tlsa("2 0 1", root)];
    const server = makeCertificate({ names: ["server.test"], issuer: root });
    const forged = makeCertificate({ names: ["mx.test"], issuer: server });
    assert.notEqual(outcome({ chain: [forged, server, root], records }), "2 0 1");
    const through = (options: AuthorityOptions): string => {
      const narrow = makeAuthority({ name: "narrow", issuer: root, ...options });
      const lower = makeAuthority({ name: "lower", issuer: narrow });
      const below = makeCertificate({ names: ["mx.test"], issuer: lower });
      return outcome({ chain: [below, lower, narrow, root], records });
    };
    assert.equal(through({}), "2 0 1");
    assert.equal(through({ pathLength: 1 }), "2 0 1");
    assert.equal(through({ pathLength: 0 }), "untrusted");
    assert.equal(through({ permitted: ["test"] }), "2 0 1");
    assert.equal(through({ permitted: ["other.test", "mx.test"] }), "2 0 1");
    assert.equal(through({ permitted: ["other.test"] }), "untrusted");
    assert.equal(through({ permitted: ["x.test"], excluded: ["mx.test"] }), "untrusted");
    assert.equal(through({ excluded: ["test"] }), "untrusted");
    assert.equal(through({ excluded: ["other.test", "a.mx.test"] }), "2 0 1");
  });

  test("name constraints are not passed by a common name or a wildcard", () => {
    const narrow = makeAuthority({ name: "narrow", permitted: ["other.test"] });
    const records = [tlsa("2 0 1", narrow)];
    const byName = makeCertificate({ names: [], ip: ["192.0.2.1"], commonName: "mx.test", issuer: narrow });
    assert.equal(outcome({ chain: [byName, narrow], records }), "untrusted");
    const hollow = makeAuthority({ name: "hollow", excluded: ["mx.test"] });
    const wild = makeCertificate({ names: ["*.test"], issuer: hollow });
    assert.equal(outcome({ chain: [wild, hollow], records: [tlsa("2 0 1", hollow)] }), "untrusted");
    assert.equal(outcome({ chain: [wild, hollow], records: [tlsa("2 0 1", hollow)], names: ["b.test"] }), "untrusted");
  });

  test("a path with a false signature is none, and a name alone makes no issuer", () => {
    const twin = makeAuthority({ name: "root" });
    assert.equal(outcome({ chain: [leaf, middle, twin], records: [tlsa("2 0 1", twin)] }), "dane");
    const forged = resigned(leaf, other, {});
    assert.equal(outcome({ chain: [forged, middle, root], records: [tlsa("2 0 1", root)] }), "dane");
  });

  test("a way that does not stand leaves the others open", () => {
    const key = { privateKey: middle.privateKey, name: "middle" };
    const expired = makeAuthority({ ...key, issuer: root, notBefore: new Date(NOW - 9 * DAY), days: 2 });
    const crossed = makeAuthority({ ...key, issuer: other });
    const records = [tlsa("2 0 1", root), tlsa("2 0 1", other)];
    assert.equal(outcome({ chain: [leaf, expired, root, crossed, other], records }), "2 0 1");
    assert.equal(outcome({ chain: [leaf, expired, root, crossed], records }), "expired");
  });
});

/** A certificate with some of its octets changed, and signed again by `issuer`. */
function resigned(
  pair: KeyPair,
  issuer: KeyPair,
  changes: Readonly<Record<string, string>>,
  digest = "sha256",
): KeyPair {
  const change = (der: Uint8Array): Buffer => {
    let hex = Buffer.from(der).toString("hex");
    for (const [from, to] of Object.entries(changes)) hex = hex.replaceAll(from, to);
    return Buffer.from(hex, "hex");
  };
  const [whole] = derElements(x509(pair).raw) ?? [];
  const [body, algorithm] = whole === undefined ? [] : childrenOf(whole, 0x30);
  assert.ok(body !== undefined && algorithm !== undefined);
  const changed = change(body.whole);
  const signature = bitString(sign(digest, changed, createPrivateKey(issuer.privateKey)));
  const der = sequence(changed, change(algorithm.whole), signature);
  const text = Buffer.from(der).toString("base64");
  return { ...pair, certificate: `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n` };
}

describe("what only the fields of a certificate tell", () => {
  const rsa = makeAuthority({ name: "rsa", keyType: "rsa-2048" });
  const below = makeCertificate({ names: ["mx.test"], issuer: rsa });
  const records = [tlsa("2 1 1", rsa)];

  test("the certificates that are changed here are good without the change", () => {
    assert.equal(outcome({ chain: [below, rsa], records }), "2 1 1");
    assert.equal(outcome({ chain: [resigned(below, rsa, {}), rsa], records }), "2 1 1");
  });

  test("a signature with SHA-1 proves nothing", () => {
    const weak = resigned(below, rsa, { "2a864886f70d01010b": "2a864886f70d010105" }, "sha1");
    assert.equal(x509(weak).verify(x509(rsa).publicKey), true);
    assert.equal(outcome({ chain: [weak, rsa], records }), "untrusted");
    assert.equal(outcome({ chain: [weak, rsa], records: [tlsa("3 1 1", weak)] }), "3 1 1");
    const root1 = resigned(rsa, rsa, { "2a864886f70d01010b": "2a864886f70d010105" }, "sha1");
    assert.equal(
      outcome({ chain: [below, root1], records: [tlsa("2 0 1", root1)] }),
      "2 0 1",
      "an anchor's own counts not",
    );
  });

  test("a short key, a use that is not a server's, a critical extension that nobody knows", () => {
    const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({
      type: "pkcs8",
      format: "pem",
    });
    const small = makeAuthority({ name: "small", issuer: rsa, privateKey: short.toString() });
    const underSmall = makeCertificate({ names: ["mx.test"], issuer: small });
    assert.equal(outcome({ chain: [underSmall, small, rsa], records }), "untrusted");
    const serverAndClient = { "2b06010505070301": "2b06010505070304", "2b06010505070302": "2b06010505070304" };
    assert.equal(outcome({ chain: [resigned(below, rsa, serverAndClient), rsa], records }), "untrusted");
    const unknown = resigned(below, rsa, { "0603551d0f0101ff": "0603551d6f0101ff" });
    assert.equal(outcome({ chain: [unknown, rsa], records }), "untrusted");
  });
});

test("what only looks like an authority is none", () => {
  const twoLevels = (upper: KeyPair): KeyPair[] => [makeCertificate({ names: ["mx.test"], issuer: upper }), upper];
  const made = makeAuthority({ name: "upper", issuer: root });
  assert.equal(outcome({ chain: [...twoLevels(made), root], records: [tlsa("2 0 1", root)] }), "2 0 1");
  const denied = resigned(made, root, { "551d130101ff040530030101ff": "551d130101ff04053003010100" });
  assert.equal(x509(denied).ca, false);
  assert.equal(outcome({ chain: [...twoLevels(denied), root], records: [tlsa("2 0 1", root)] }), "untrusted");
  const renamed = makeAuthority({ name: "renamed", privateKey: middle.privateKey });
  assert.equal(x509(leaf).verify(x509(renamed).publicKey), true);
  assert.equal(outcome({ chain: [leaf, renamed], records: [tlsa("2 0 1", renamed)] }), "dane");
});

test("constraints on addresses concern certificates with addresses alone, and those are refused", () => {
  const byName = makeAuthority({ name: "bounded", permitted: ["12345678"] });
  const bounded = resigned(byName, byName, { "82083132333435363738": "87083132333435363738" });
  const records = [tlsa("2 0 1", bounded)];
  const below = (options: CertificateOptions): KeyPair[] => [makeCertificate({ issuer: bounded, ...options }), bounded];
  assert.equal(outcome({ chain: below({ names: ["mx.test"] }), records }), "2 0 1");
  assert.equal(outcome({ chain: below({ names: ["mx.test"], ip: ["192.0.2.1"] }), records }), "untrusted");
  const short = makeAuthority({ name: "bounded", permitted: ["ab"] });
  const ofSubject = resigned(short, short, { "82026162": "a4023000" });
  const alone = [makeCertificate({ names: ["mx.test"], issuer: ofSubject }), ofSubject];
  assert.equal(outcome({ chain: alone, records: [tlsa("2 0 1", ofSubject)] }), "untrusted");
});

describe("which records count", () => {
  const good = [
    "2 0 0",
    "2 0 1",
    "2 0 2",
    "2 1 0",
    "2 1 1",
    "2 1 2",
    "3 0 0",
    "3 0 1",
    "3 0 2",
    "3 1 0",
    "3 1 1",
    "3 1 2",
  ];

  test("usages 2 and 3, known selectors and matching types", () => {
    const records = good.map((parameters) => tlsa(parameters, leaf));
    assert.deepEqual(usableTlsa(records), records);
    const record = tlsa("3 1 1", leaf);
    for (const wrong of [
      { usage: 0 },
      { usage: 1 },
      { usage: 4 },
      { usage: 255 },
      { selector: 2 },
      { matchingType: 3 },
    ]) {
      assert.deepEqual(usableTlsa([{ ...record, ...wrong }]), []);
      assert.equal(outcome({ records: [{ ...record, ...wrong }] }), "dane");
    }
  });

  test("nothing of a wrong length, or that cannot be read", () => {
    for (const parameters of good) {
      const record = tlsa(parameters, leaf);
      const shorter = record.data.subarray(0, -1);
      const longer = Uint8Array.of(...record.data, 0);
      const pem = Buffer.from(leaf.certificate);
      for (const data of [shorter, longer, new Uint8Array(), new Uint8Array(pem)]) {
        assert.deepEqual(usableTlsa([{ ...record, data }]), [], parameters);
      }
    }
  });

  test("of the digests the strongest alone, for each usage and selector (RFC 7671 §9)", () => {
    const wrongLong = tlsa("3 1 2", other);
    assert.equal(outcome({ records: [tlsa("3 1 1", leaf), wrongLong] }), "dane");
    assert.equal(
      outcome({ records: [tlsa("3 1 1", leaf), { ...wrongLong, data: wrongLong.data.subarray(1) }] }),
      "3 1 1",
    );
    assert.equal(outcome({ records: [tlsa("3 1 0", leaf), wrongLong] }), "3 1 0");
    assert.equal(outcome({ records: [tlsa("3 0 1", leaf), wrongLong] }), "3 0 1");
    assert.equal(outcome({ records: [tlsa("3 1 1", leaf), tlsa("2 1 2", other)] }), "3 1 1");
    assert.equal(outcome({ records: [tlsa("2 0 1", root), tlsa("2 0 2", other)] }), "dane");
  });

  test("octets of any kind are no certificate, and harm nothing", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(2, 3),
        fc.constantFrom(0, 1),
        (data, usage, selector) => {
          return outcome({ records: [{ usage, selector, matchingType: 0, data }] }) === "dane";
        },
      ),
    );
    const { raw } = x509(leaf);
    fc.assert(
      fc.property(fc.nat({ max: raw.length - 1 }), fc.nat({ max: 255 }), (at, octet) => {
        const changed = new Uint8Array(raw).map((old, index) => (index === at ? octet : old));
        certificateFields(changed);
        certificateFields(changed.subarray(0, at));
        usableTlsa([{ usage: 2, selector: 0, matchingType: 0, data: changed }]);
      }),
    );
  });
});

test("certificates that sign each other cost a hostile server's client a bounded time", () => {
  const signer = makeAuthority({ name: "same" });
  const crossed = Array.from({ length: 15 }, (_, index) =>
    makeAuthority({ name: "same", issuer: signer, privateKey: signer.privateKey, pathLength: index }),
  );
  const chain = [makeCertificate({ names: ["mx.test"], issuer: signer }), ...crossed];
  const started = performance.now();
  assert.equal(outcome({ chain, records: [tlsa("2 0 1", other)] }), "dane");
  assert.ok(performance.now() - started < 1000);
  assert.ok(
    unwrap(matchDane({ chain: chain.map(x509), records: [tlsa("2 1 1", signer)], names: ["mx.test"], now: NOW })),
  );
});
