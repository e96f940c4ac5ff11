import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseTlsReportRecords } from "./tls-report-record.ts";

/** The destinations in short, null for "no reports wanted", or "refused". */
function read(...records: readonly string[]) {
  const parsed = parseTlsReportRecords(records);
  if (!parsed.ok) return "refused";
  if (parsed.value === null) return null;
  return parsed.value.destinations.map((to) =>
    to.kind === "mail" ? `${to.mailbox.localPart} at ${to.mailbox.domain}` : to.url.href,
  );
}

test("the examples of RFC 8460 §3.1", () => {
  assert.deepEqual(read("v=TLSRPTv1;rua=mailto:reports@example.com"), ["reports at example.com"]);
  assert.deepEqual(read("v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"), [
    "https://reporting.example.com/v1/tlsrpt",
  ]);
});

test("exactly one record counts, and those of another kind do not", () => {
  const record = "v=TLSRPTv1; rua=mailto:a@example.com;";
  assert.deepEqual(read("v=spf1 -all", record, "v=TLSRPTv2; rua=mailto:b@example.com"), ["a at example.com"]);
  assert.equal(read(), null);
  assert.equal(read("V=tlsrptv1; rua=mailto:a@example.com"), null);
  assert.equal(read(record, record), null);
});

test("several destinations, white space, unknown fields and case of schemes", () => {
  assert.deepEqual(
    read("v=TLSRPTv1 ;\tx-new=1; rua=MAILTO:a@example.com , https://r.example.com:8443/p?q=1 ; y.z=a b ;"),
    ["a at example.com", "https://r.example.com:8443/p?q=1"],
  );
  assert.deepEqual(read("v=TLSRPTv1;rua=mailto:a@e.com,mailto:a@e.com"), ["a at e.com"], "one twice is one");
});

test("addresses are percent-decoded, and header fields behind them are not taken (RFC 6068)", () => {
  assert.deepEqual(read("v=TLSRPTv1;rua=mailto:a%2Bb%21c@example.com?subject=x"), ["a+b!c at example.com"]);
  assert.deepEqual(read("v=TLSRPTv1;rua=mailto:%22a%3Bb%2Cc%22@example.com"), ["a;b,c at example.com"]);
});

test("destinations that cannot be used are left out, and none left is a refusal", () => {
  const parsed = parseTlsReportRecords(["v=TLSRPTv1;rua=ftp://x.example/,mailto:a@example.com,http://x.example/"]);
  assert.ok(parsed.ok);
  assert.deepEqual([parsed.value?.destinations.length, parsed.value?.skipped.length], [1, 2]);
  for (const rua of [
    "ftp://x.example/",
    "mailto:",
    "mailto:nobody",
    "mailto:%ff@example.com",
    "mailto:a%0d%0aBcc:b@example.com",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://[::1]/",
    "https://user:pass@x.example/",
    "https://",
    "mailto:a!10m@example.com",
    "reports@example.com",
    ",",
  ]) {
    assert.equal(read(`v=TLSRPTv1;rua=${rua}`), "refused", rua);
  }
  for (const record of ["v=TLSRPTv1;", "v=TLSRPTv1;rua=", "v=TLSRPTv1;rua", "v=TLSRPTv1;;rua=mailto:a@example.com"]) {
    assert.equal(read(record), "refused", record);
  }
});

test("no more than four destinations are used", () => {
  const rua = Array.from({ length: 9 }, (_, at) => `mailto:r${at}@example.com`).join(",");
  assert.equal(read(`v=TLSRPTv1;rua=${rua}`)?.length, 4);
});

test("no record makes it throw", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.boolean(), (rest, mail) => {
      parseTlsReportRecords([`v=TLSRPTv1;rua=${mail ? "mailto:" : "https://"}${rest}`]);
      parseTlsReportRecords([`v=TLSRPTv1;${rest}`]);
    }),
  );
});
