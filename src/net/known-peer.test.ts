import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { DAY, type Result, unwrap } from "../base/index.ts";
import { makeAuthority, makeCertificate } from "./certificate.ts";
import { type Identified, identifyPeer, type KnownPeer, readPeers } from "./known-peer.ts";
import { type CertificateFault, spki256 } from "./tls-info.ts";
import type { KeyPair } from "./tls-server.ts";

const NAMES = ["mx.partner.example", "out.partner.example"];
const partnerCa = makeAuthority({ name: "partner" });
const otherCa = makeAuthority({ name: "other" });
const partner = makeCertificate({ names: NAMES, issuer: partnerCa });

const byCa = (changes: Partial<KnownPeer> = {}): KnownPeer => ({
  name: "partner",
  authorities: [partnerCa.certificate],
  names: ["mx.partner.example"],
  ...changes,
});
const x509 = ({ certificate }: KeyPair) => new X509Certificate(certificate);

function identify(
  chain: readonly KeyPair[],
  peers: readonly KnownPeer[],
  now = Date.now(),
): Result<Identified, CertificateFault> {
  return identifyPeer(chain.map(x509), unwrap(readPeers(peers)), now);
}

/** The identity, or the reason in brackets. */
function told(...question: Parameters<typeof identify>): string {
  const answer = identify(...question);
  return answer.ok ? `${answer.value.identity} by ${answer.value.proven}` : `(${answer.error.reason})`;
}

describe("by its key", () => {
  const peers = [{ name: "partner", spki: [spki256(x509(partner))] }];

  test("the key decides, whoever signed it and whatever its dates are", () => {
    assert.equal(told([partner], peers), "partner by pin");
    const old = makeCertificate({ names: ["x.test"], notBefore: new Date(Date.now() - 10 * DAY), days: 1 });
    assert.equal(told([old], [{ name: "old", spki: [spki256(x509(old))] }]), "old by pin");
  });

  test("another key with the same names is nobody, and a key further up the chain does not count", () => {
    assert.equal(told([makeCertificate({ names: NAMES, issuer: partnerCa })], peers), "(untrusted)");
    const authority = [{ name: "partner", spki: [spki256(x509(partnerCa))] }];
    assert.equal(told([partner, partnerCa], authority), "(untrusted)");
  });

  test("the next key may be listed beside the one in use", () => {
    const next = makeCertificate({ names: NAMES });
    const both = [{ name: "partner", spki: [partner, next].map((pair) => spki256(x509(pair))) }];
    assert.deepEqual([told([partner], both), told([next], both)], ["partner by pin", "partner by pin"]);
  });
});

describe("by authority and name", () => {
  test("signed by its authority and naming it", () => {
    assert.equal(told([partner], [byCa()]), "partner by name");
    assert.equal(told([partner], [byCa({ names: ["no.example", "out.partner.example"] })]), "partner by name");
    const wild = makeCertificate({ names: ["*.partner.example"], issuer: partnerCa });
    assert.equal(told([wild], [byCa()]), "partner by name");
  });

  test("another name is not it, but for *", () => {
    const stranger = makeCertificate({ names: ["mx.stranger.example"], issuer: partnerCa });
    assert.equal(told([stranger], [byCa()]), "(name)");
    assert.equal(told([stranger], [byCa({ names: ["*"] })]), "partner by name");
    assert.equal(told([stranger], [byCa({ names: [] })]), "(name)");
  });

  test("another authority, or none, proves nothing", () => {
    assert.equal(told([makeCertificate({ names: NAMES, issuer: otherCa })], [byCa()]), "(untrusted)");
    assert.equal(told([makeCertificate({ names: NAMES })], [byCa()]), "(untrusted)");
    assert.equal(
      told([makeCertificate({ names: NAMES, issuer: otherCa }), otherCa], [byCa({ names: ["*"] })]),
      "(untrusted)",
    );
  });

  test("an authority of one peer does not vouch for the names of another", () => {
    const peers = [byCa(), { name: "other", authorities: [otherCa.certificate], names: ["mx.other.example"] }];
    const forged = makeCertificate({ names: ["mx.partner.example"], issuer: otherCa });
    assert.equal(told([forged, otherCa, partnerCa], peers), "(name)");
    assert.equal(told([makeCertificate({ names: ["mx.other.example"], issuer: otherCa })], peers), "other by name");
  });

  test("expired, and not valid yet", () => {
    assert.equal(told([partner], [byCa()], Date.now() + 400 * DAY), "(expired)");
    const later = makeCertificate({ names: NAMES, issuer: partnerCa, notBefore: new Date(Date.now() + DAY) });
    assert.equal(told([later], [byCa()]), "(untrusted)");
  });

  test("over an intermediate authority that the client sends, or that is trusted itself", () => {
    const between = makeAuthority({ name: "between", issuer: partnerCa });
    const leaf = makeCertificate({ names: NAMES, issuer: between });
    assert.equal(told([leaf, between], [byCa()]), "partner by name");
    assert.equal(told([leaf], [byCa()]), "(untrusted)", "it was not sent");
    assert.equal(told([leaf], [byCa({ authorities: [between.certificate] })]), "partner by name");
    assert.equal(told([leaf], [byCa({ authorities: [between.certificate + otherCa.certificate] })]), "partner by name");
  });

  test("a certificate that is no authority signs for nobody", () => {
    const leaf = makeCertificate({ names: NAMES, issuer: partner });
    assert.equal(told([leaf, partner], [byCa()]), "(untrusted)");
  });
});

test("a key counts before an authority, and an earlier peer before a later one", () => {
  const key = { name: "by-key", spki: [spki256(x509(partner))] };
  assert.equal(told([partner], [byCa(), key]), "by-key by pin");
  assert.equal(told([partner], [byCa({ name: "first" }), byCa({ name: "second" })]), "first by name");
});

test("no certificate and no peers give no identity", () => {
  assert.equal(told([], [byCa()]), "(untrusted)");
  assert.equal(told([partner], []), "(untrusted)");
});

test("authorities that cannot be read are told with the peer's name", () => {
  for (const text of ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
    const read = readPeers([byCa({ authorities: [text] })]);
    assert.ok(!read.ok && read.error.includes("partner"), text);
  }
});
