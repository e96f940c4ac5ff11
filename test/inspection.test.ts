// The examples of docs/inspection.md are what the commands print, and every key of their JSON is told there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { DAY, HOUR, instant, MINUTE, seededRandom, unwrap } from "../src/base/index.ts";
import { explainLines } from "../src/cli/explain-text.ts";
import { probeLines } from "../src/cli/probe-text.ts";
import { publishedLines, zoneLines } from "../src/cli/records-text.ts";
import { RouteTable } from "../src/delivery/index.ts";
import { explain } from "../src/inspection/explain.ts";
import { checkRecord, type ProbeReport, wantedRecords } from "../src/inspection/index.ts";
import { judgeHost } from "../src/inspection/probe-checks.ts";
import { verdictOf } from "../src/inspection/probe-report.ts";
import { defaultRetryRule } from "../src/queue/index.ts";
import { parseMailbox } from "../src/smtp/index.ts";
import { fakeResolver } from "../src/testing/index.ts";

const page = readFileSync(new URL("../docs/inspection.md", import.meta.url), "utf8");
const KEY = "8d02536c887482bc34ff54e41d2ba659bf85b341a0a20afadb5813dcfbcf286d";

/** The block of the page behind a command. */
function example(command: string): string {
  const [, block] = page.split(`$ ${command}\n`);
  return block?.split("\n```")[0] ?? "";
}

function keysOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(keysOf);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)]);
}

function assertTold(value: unknown): void {
  const untold = [...new Set(keysOf(value))].filter((key) => !page.includes(`\`${key}\``));
  assert.deepEqual(untold, []);
}

async function records(check: boolean) {
  const node = {
    hostname: "mail.example.org",
    domains: ["example.org"],
    exchanger: true,
    keys: [KEY],
    nextKey: null,
    submission: [{ port: 465, implicit: true }],
    access: [],
    servesSettings: false,
    policyId: () => "5f0c3a",
    servesPolicies: true,
  };
  const resolver = fakeResolver({
    "mail.example.org": { a: ["192.0.2.25"], txt: ["v=spf1 a -all"], secure: true },
    "example.org": { mx: [{ preference: 10, exchange: "mail.example.org" }], txt: ["v=spf1 mx ~all"] },
    "_25._tcp.mail.example.org": { secure: true },
    "_mta-sts.example.org": { txt: ["v=STSv1; id=20250101;"] },
    "mta-sts.example.org": { cname: "mail.example.org" },
    "_smtp._tls.example.org": { txt: ["v=TLSRPTv1; rua=mailto:tls@example.org"] },
    "_submissions._tcp.example.org": { srv: [{ priority: 0, weight: 1, port: 465, target: "mail.example.org" }] },
  });
  const wanted = wantedRecords(node);
  const reports = await Promise.all(
    wanted.map(async (record) => ({
      ...record,
      published: check ? await checkRecord(record, { resolver, node, trustAd: true }) : null,
    })),
  );
  return { hostname: node.hostname, ok: !check, records: reports };
}

test("the page shows the zone that `postern dns` prints, and its check", async () => {
  assert.equal(zoneLines(await records(false)).join("\n"), example("postern dns"));
  const checked = await records(true);
  assert.equal(publishedLines(checked).join("\n"), example("postern dns --check"));
  assertTold(checked);
});

test("the page shows what `postern explain` prints", async () => {
  const policy = {
    domain: "example.net",
    id: "20261101",
    mode: "enforce" as const,
    mx: ["*.example.net"],
    lines: [],
    fetchedAt: instant(0),
    expiresAt: instant(DAY),
  };
  const tlsa = { usage: 3, selector: 1, matchingType: 1, data: Uint8Array.from(Buffer.from(KEY, "hex")) };
  const report = await explain(unwrap(parseMailbox("ann@example.net")), {
    routes: new RouteTable([], []),
    port: 25,
    resolver: fakeResolver({
      "example.net": {
        mx: [
          { preference: 10, exchange: "mx1.example.net" },
          { preference: 20, exchange: "mx2.example.net" },
        ],
        secure: true,
      },
      "mx1.example.net": { a: ["192.0.2.1"], secure: true },
      "_25._tcp.mx1.example.net": { tlsa: [tlsa], secure: true },
      "mx2.example.net": { a: ["192.0.2.2"] },
    }),
    random: seededRandom(1),
    hostname: "mail.example.org",
    isSelf: () => false,
    dane: true,
    sts: () => ({ find: () => Promise.resolve({ kind: "policy", policy, failure: null }) }),
    memory: {
      recall: (domain, host) => ({
        domain,
        host,
        tls: true,
        version: "TLSv1.3",
        authenticated: "name",
        provenAt: instant(Date.UTC(2026, 10, 20)),
        fellAt: null,
      }),
      proved() {},
      fell: () => instant(0),
      classicalOnly: () => false,
      rememberClassical() {},
    },
    clearAfterFailure: false,
    retry: { ...defaultRetryRule, first: 5 * MINUTE, longest: 4 * HOUR, giveUpAfter: 5 * DAY },
    lineOf: () => null,
    folderProblem: () => null,
  });
  assert.equal(explainLines(report).join("\n"), example("postern explain ann@example.net"));
  assertTold(report);
});

test("the page shows what `postern probe` prints", () => {
  const seen = {
    host: "mx1.example.net",
    port: 25,
    addresses: ["192.0.2.1", "192.0.2.2"],
    addressesSecure: true,
    address: "192.0.2.1",
    greeting: "220 mx1.example.net ESMTP",
    extensions: { beforeTls: ["SIZE 52428800", "PIPELINING", "STARTTLS"], afterTls: ["SIZE 52428800", "PIPELINING"] },
    tls: { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", group: "X25519MLKEM768" },
    versions: [
      { name: "TLSv1.2", supported: true },
      { name: "TLSv1.3", supported: true },
    ],
    groups: [
      { name: "X25519MLKEM768", supported: true },
      { name: "X25519", supported: true },
      { name: "P-256", supported: null },
    ],
    certificates: [
      {
        subject: "CN=mx1.example.net",
        issuer: "CN=Example CA",
        names: ["mx1.example.net"],
        validFrom: "2026-09-01T00:00:00.000Z",
        validTo: "2026-11-30T00:00:00.000Z",
        daysLeft: 8,
        key: "ec prime256v1",
        spki256: KEY,
      },
    ],
    name: { proven: true, reason: null, detail: null },
    dane: {
      found: "records" as const,
      owner: "_25._tcp.mx1.example.net",
      records: [`3 1 1 ${KEY}`],
      match: true,
      detail: null,
    },
    mtaStsListed: null,
    requireTls: false,
  };
  const sts = { kind: "none", reason: "there is no TXT record of MTA-STS", failure: null } as const;
  const checks = judgeHost({ ...seen, problem: null, needsClassical: false }, sts);
  const verdict = verdictOf(checks, "TLSv1.3");
  const report: ProbeReport = {
    target: "example.net",
    kind: "domain",
    mxSecure: true,
    mtaSts: { mode: null, id: null, mx: [], detail: sts.reason },
    checks: [{ check: "mx", status: "ok", text: "mx1.example.net (validated by DNSSEC)" }],
    hosts: [{ ...seen, checks, verdict }],
    verdict: { ...verdict, text: `mx1.example.net: ${verdict.text}` },
  };
  assert.equal(probeLines(report).join("\n"), example("postern probe example.net"));
  assertTold(report);
});
