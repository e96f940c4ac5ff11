import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { EMPTY, unwrap } from "../base/index.ts";
import { loopbackPair } from "../testing/index.ts";
import { makeCertificate } from "./certificate.ts";
import { type ChannelBindingType, channelBinding, endPoint } from "./channel-binding.ts";
import { bitString, integer, objectId, sequence, tagged } from "./der.ts";
import type { Stream } from "./stream.ts";
import { type ClientTlsOptions, upgradeClient } from "./tls-client.ts";
import { type KeyPair, ServerTls, upgradeServer } from "./tls-server.ts";

const TIMEOUT = 5000;
const first = makeCertificate({ names: ["one.test"] });
const second = makeCertificate({ names: ["two.test"] });

async function ends(keyPairs: readonly KeyPair[], client: Partial<ClientTlsOptions> = {}) {
  const tls = unwrap(ServerTls.create({ keyPairs }));
  const [clearNear, clearFar] = await loopbackPair();
  const [far, near] = await Promise.all([
    upgradeServer(clearFar, tls, TIMEOUT),
    upgradeClient(clearNear, { serverName: "one.test", verify: { kind: "nothing" }, timeout: TIMEOUT, ...client }),
  ]);
  const both = { near: unwrap(near), far: unwrap(far) };
  return {
    ...both,
    clear: clearNear,
    close: () => {
      both.near.destroy();
      both.far.destroy();
    },
  };
}

const data = (stream: Stream, type: ChannelBindingType): string | null => {
  const octets = channelBinding(stream, type);
  return octets === null ? null : Buffer.from(octets).toString("hex");
};

test("both ends of TLS 1.3 export the same octets, other ones in each session (RFC 9266 §2)", async () => {
  const one = await ends([first]);
  const two = await ends([first]);
  const exported = data(one.near, "tls-exporter");
  assert.match(exported ?? "", /^[0-9a-f]{64}$/);
  assert.equal(data(one.far, "tls-exporter"), exported);
  assert.equal(data(two.near, "tls-exporter"), data(two.far, "tls-exporter"));
  assert.notEqual(data(two.near, "tls-exporter"), exported);
  one.close();
  two.close();
});

test("TLS 1.2 exports nothing, clear text binds nothing, and a closed connection neither (RFC 9266 §4.2)", async () => {
  const old = await ends([first], { maxVersion: "TLSv1.2" });
  assert.equal(data(old.near, "tls-exporter"), null);
  assert.equal(data(old.far, "tls-exporter"), null);
  assert.notEqual(data(old.far, "tls-server-end-point"), null);
  assert.equal(data(old.clear, "tls-server-end-point"), null);
  old.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(data(old.far, "tls-server-end-point"), null);
});

test("the end point is the certificate that was shown, by whatever name it was asked for (RFC 5929 §4.1)", async () => {
  for (const [serverName, shown] of [
    ["one.test", first],
    ["two.test", second],
  ] as const) {
    const both = await ends([first, second], { serverName });
    const expected = createHash("sha256").update(new X509Certificate(shown.certificate).raw).digest("hex");
    assert.equal(data(both.near, "tls-server-end-point"), expected);
    assert.equal(data(both.far, "tls-server-end-point"), expected);
    both.close();
  }
});

/** What `endPoint` reads of a certificate: something, and the algorithm of its signature. */
const signedBy = (...algorithm: readonly Uint8Array[]): Uint8Array =>
  sequence(sequence(integer(EMPTY)), sequence(...algorithm), bitString(EMPTY));

const pss = (...hash: readonly string[]): Uint8Array =>
  signedBy(
    objectId("1.2.840.113549.1.1.10"),
    sequence(...hash.map((id) => tagged(0, "constructed", sequence(objectId(id))))),
  );

test("the hash is that of the certificate's signature, and SHA-256 for old ones (RFC 5929 §4.1)", () => {
  for (const [certificate, hash] of [
    [signedBy(objectId("1.2.840.113549.1.1.4")), "sha256"],
    [signedBy(objectId("1.2.840.113549.1.1.5")), "sha256"],
    [signedBy(objectId("1.2.840.113549.1.1.11")), "sha256"],
    [signedBy(objectId("1.2.840.113549.1.1.12")), "sha384"],
    [signedBy(objectId("1.2.840.113549.1.1.13")), "sha512"],
    [signedBy(objectId("1.2.840.10045.4.1")), "sha256"],
    [signedBy(objectId("1.2.840.10045.4.3.1")), "sha224"],
    [signedBy(objectId("1.2.840.10045.4.3.4")), "sha512"],
    [pss(), "sha256"],
    [pss("1.3.14.3.2.26"), "sha256"],
    [pss("2.16.840.1.101.3.4.2.3"), "sha512"],
    [new X509Certificate(first.certificate).raw, "sha256"],
  ] as const) {
    assert.deepEqual(Buffer.from(endPoint(certificate) ?? EMPTY), createHash(hash).update(certificate).digest());
  }
});

test("a certificate whose signature names no hash, or none that is known, has no end point (RFC 5929 §4.1)", () => {
  const ed25519 = new X509Certificate(makeCertificate({ names: ["x.test"], keyType: "ed25519" }).certificate).raw;
  const broken = [EMPTY, ed25519.subarray(0, 20), signedBy(), pss("1.2.3"), signedBy(objectId("1.2.3"))];
  for (const certificate of [ed25519, ...broken]) assert.equal(endPoint(certificate), null);
});
