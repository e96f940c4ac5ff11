import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { type KeyType, makeAuthority, makeCertificate } from "./certificate.ts";

test("what is made is read by OpenSSL as it was meant", () => {
  const authority = makeAuthority();
  const ca = new X509Certificate(authority.certificate);
  assert.equal(ca.ca, true);
  assert.equal(ca.verify(ca.publicKey), true);
  for (const keyType of ["ecdsa-p256", "rsa-2048", "ed25519"] satisfies KeyType[]) {
    const notBefore = new Date("2049-12-31T23:59:58Z");
    const options = { names: ["mx.test", "*.mx.test"], ip: ["192.0.2.1", "2001:db8::5:0:1"], notBefore, days: 2 };
    const pair = makeCertificate({ ...options, issuer: authority, keyType });
    const certificate = new X509Certificate(pair.certificate);
    assert.equal(certificate.checkIssued(ca), true);
    assert.equal(certificate.verify(ca.publicKey), true);
    assert.equal(certificate.checkPrivateKey(createPrivateKey(pair.privateKey)), true);
    assert.equal(certificate.ca, false);
    assert.equal(certificate.subject, "CN=mx.test");
    assert.equal(certificate.checkHost("a.mx.test", { subject: "never" }), "*.mx.test");
    assert.equal(certificate.checkIP("192.0.2.1"), "192.0.2.1");
    assert.equal(certificate.checkIP("2001:db8::5:0:1"), "2001:db8::5:0:1");
    assert.equal(certificate.validFromDate.toISOString(), "2049-12-31T23:59:58.000Z");
    assert.equal(certificate.validToDate.toISOString(), "2050-01-02T23:59:58.000Z");
  }
});

test("each certificate has a serial number and a key of its own", () => {
  const [one, two] = [makeCertificate({ names: ["a.test"] }), makeCertificate({ names: ["a.test"] })];
  const [first, second] = [new X509Certificate(one.certificate), new X509Certificate(two.certificate)];
  assert.notEqual(first.serialNumber, second.serialNumber);
  assert.notEqual(one.privateKey, two.privateKey);
  assert.equal(first.verify(first.publicKey), true);
  assert.equal(first.verify(second.publicKey), false);
});

test("an address that is none is a mistake of the caller", () => {
  assert.throws(() => makeCertificate({ names: [], ip: ["192.0.2"] }), TypeError);
});
