import assert from "node:assert/strict";
import { test } from "node:test";
import { instant } from "../base/index.ts";
import { NO_POLICY, stsPolicy, tlsaPolicy } from "./applied-policy.ts";
import { provenBy, type TlsProof, type TlsRequirement, withoutTls } from "./tls-requirement.ts";

const NOTHING: TlsProof = { kind: "nothing" };
const NAME: TlsProof = { kind: "name", names: ["mx.test"], ca: null, pins: [] };
const RECORDS: TlsProof = { kind: "dane", names: [], records: [] };

const base: TlsRequirement = {
  mode: "required",
  proof: NOTHING,
  serverName: "mx.test",
  minVersion: "TLSv1.2",
  requireTls: false,
  clientCertificate: null,
  watched: null,
  policy: NO_POLICY,
  flaw: null,
  held: null,
  rule: "",
};

function policy(mode: "enforce" | "testing", lines = ["version: STSv1", `mode: ${mode}`, "mx: mx.test"]) {
  return stsPolicy({
    domain: "d.test",
    id: "1",
    mode,
    mx: ["mx.test"],
    lines,
    fetchedAt: instant(0),
    expiresAt: instant(1),
  });
}

test("what is proven is the most that was demanded and met", () => {
  assert.equal(provenBy({ ...base, proof: RECORDS, policy: tlsaPolicy([]) }, true), "dane");
  assert.equal(provenBy({ ...base, proof: NAME, policy: policy("enforce") }, true), "mta-sts");
  assert.equal(provenBy({ ...base, proof: NAME, policy: policy("enforce", ["mode:enforce"]) }, true), "mta-sts");
  assert.equal(provenBy({ ...base, proof: NAME, policy: policy("testing") }, true), "verified");
  assert.equal(provenBy({ ...base, proof: NAME, policy: null }, true), "verified");
  assert.equal(provenBy(base, true), "encrypted");
  assert.equal(provenBy({ ...base, mode: "implicit" }, true), "encrypted");
  assert.equal(provenBy({ ...base, mode: "opportunistic" }, true), "opportunistic");
  assert.equal(
    provenBy({ ...base, mode: "opportunistic", watched: NAME, policy: policy("testing") }, true),
    "opportunistic",
  );
});

test("what was not secured has proven nothing", () => {
  assert.equal(provenBy({ ...base, mode: "opportunistic" }, false), "clear");
  assert.equal(provenBy(withoutTls(base), false), "clear");
});
