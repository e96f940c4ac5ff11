import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { DAY, unwrap } from "../base/index.ts";
import { parseConfig } from "../config/index.ts";
import { makeAuthority, makeCertificate } from "../testing/index.ts";
import { checkCertificates } from "./certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-certificates-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const FROM = new Date("2026-03-01T00:00:00Z");
const DAYS = 90;
const END = FROM.getTime() + DAYS * DAY;
const inUse = FROM.getTime() + 10 * DAY;

function write(file: string, names: readonly string[]): void {
  writeFileSync(join(folder, file), makeCertificate({ names, notBefore: FROM, days: DAYS }).certificate);
}

function findings(rest: string, now = inUse, listener = 'service = "submission"') {
  const text = `hostname = "mail.here.test"\n[[listener]]\naddress = "127.0.0.1:25"\n${listener}\n[tls]
certificate = "cert.pem"\nprivate_key = "key.pem"\n${rest}`;
  return checkCertificates(unwrap(parseConfig(text, join(folder, "postern.toml"))), now);
}

const DOMAINS =
  '[[domain]]\nname = "here.test"\ndeliver = "discard:"\n[[domain]]\nname = "bücher.test"\ndeliver = "discard:"\n';
const WEB = '[[web]]\naddress = "127.0.0.1:443"\n';

test("a certificate that counts no more, or not yet, is a problem; one that ends soon is a warning", () => {
  write("cert.pem", ["mail.here.test"]);
  for (const [now, problems, warnings] of [
    [FROM.getTime() - DAY, 1, 0],
    [inUse, 0, 0],
    [END - 15 * DAY, 0, 0],
    [END - 13 * DAY, 0, 1],
    [END + DAY, 1, 0],
  ] as const) {
    const found = findings("", now);
    assert.deepEqual([found.problems.length, found.warnings.length], [problems, warnings], new Date(now).toISOString());
    for (const line of [...found.problems, ...found.warnings]) assert.ok(line.includes(join(folder, "cert.pem")), line);
  }
});

test("an end in the chain counts as that of the certificate, and routes have certificates too", () => {
  const issuer = makeAuthority({ notBefore: FROM, days: 20 });
  const leaf = makeCertificate({ names: ["mail.here.test"], notBefore: FROM, days: DAYS, issuer });
  writeFileSync(join(folder, "cert.pem"), `${leaf.certificate.trimEnd()}\n${issuer.certificate}`);
  assert.equal(findings("").warnings.length, 1);
  write("cert.pem", ["mail.here.test"]);
  write("mine.pem", ["client.here.test"]);
  const route =
    '[[route]]\nmatch = "*"\nvia = "mx"\nclient_certificate = "mine.pem"\nclient_private_key = "mine.key"\n';
  const { problems } = findings(route, END + DAY);
  assert.equal(problems.length, 2);
  assert.ok(problems[1]?.includes("[[route]]") && problems[1].includes("mine.pem"), problems[1]);
});

test("names that others look for and no certificate has are warned of", () => {
  write("cert.pem", ["mail.here.test", "mta-sts.here.test", "*.xn--bcher-kva.test"]);
  const missing = (rest: string, listener?: string): readonly string[] =>
    findings(rest, inUse, listener).warnings.map((line) => / names (\S+):/.exec(line)?.[1] ?? line);
  assert.deepEqual(missing(DOMAINS), [], "no pages are served");
  assert.deepEqual(missing(DOMAINS + WEB), ["autoconfig.here.test"]);
  assert.deepEqual(missing(DOMAINS + WEB, 'service = "mx"'), [], "nobody submits");
  assert.deepEqual(missing(`${DOMAINS + WEB}tls = "none"\n`), [], "a proxy has the certificates");
  write("other.pem", ["autoconfig.here.test"]);
  const additional = '[[tls.additional]]\ncertificate = "other.pem"\nprivate_key = "other.key"\n';
  assert.deepEqual(missing(DOMAINS + WEB + additional), []);
  write("cert.pem", ["here.test"]);
  assert.deepEqual(missing(""), ["mail.here.test"]);
  assert.deepEqual(missing("", 'service = "mx"\ntls = "none"'), []);
  assert.deepEqual(missing(`${DOMAINS}${WEB}[mta_sts]\nmode = "none"\n`), [
    "mail.here.test",
    "autoconfig.here.test",
    "autoconfig.xn--bcher-kva.test",
  ]);
});

test("what cannot be read is told by those who need it", () => {
  writeFileSync(join(folder, "cert.pem"), "no certificate");
  assert.deepEqual(findings(DOMAINS + WEB), { problems: [], warnings: [] });
});
