import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, HOUR, instant, MINUTE, seededRandom, unwrap } from "../base/index.ts";
import { RouteTable } from "../delivery/index.ts";
import { defaultRetryRule, type RetryException } from "../queue/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { type DnsZone, fakeResolver } from "../testing/index.ts";
import type { HostMemory, StsFinding } from "../trust/index.ts";
import { explain, retryTimes } from "./explain.ts";
import type { ExplainReport } from "./explain-report.ts";

interface Case {
  readonly zone?: DnsZone;
  readonly routes?: ConstructorParameters<typeof RouteTable>[1];
  readonly policy?: { readonly mode: "enforce" | "testing"; readonly mx: readonly string[] };
  readonly sts?: StsFinding;
  readonly memory?: HostMemory;
  readonly folderProblem?: string;
  readonly exceptions?: readonly RetryException[];
}

const record = (usage: number) => ({ usage, selector: 1, matchingType: 1, data: new Uint8Array(32).fill(7) });

const zone: DnsZone = {
  "there.test": {
    mx: [
      { preference: 10, exchange: "mx1.there.test" },
      { preference: 20, exchange: "mx2.there.test" },
    ],
    secure: true,
  },
  "mx1.there.test": { a: ["192.0.2.1"], secure: true },
  "mx2.there.test": { a: ["192.0.2.2"], secure: true },
  "_25._tcp.mx1.there.test": { tlsa: [record(3)], secure: true },
};

function explained(address: string, given: Case = {}): Promise<ExplainReport> {
  const { policy } = given;
  const times = { fetchedAt: instant(0), expiresAt: instant(Number.MAX_SAFE_INTEGER) };
  const sts: StsFinding =
    given.sts ??
    (policy === undefined
      ? { kind: "none", reason: "none here", failure: null }
      : { kind: "policy", policy: { domain: "there.test", id: "1", lines: [], ...policy, ...times }, failure: null });
  return explain(unwrap(parseMailbox(address)), {
    routes: new RouteTable(
      [
        { name: "here.test", deliver: { kind: "maildir", path: "/mail/{user}" }, recipients: ["ann"] },
        { name: "lmtp.test", deliver: { kind: "lmtp", host: "192.0.2.9", port: 24 } },
        { name: "void.test", deliver: { kind: "discard" } },
      ],
      given.routes ?? [],
    ),
    port: 25,
    resolver: fakeResolver(given.zone ?? zone),
    random: seededRandom(1),
    hostname: "here.test",
    isSelf: () => false,
    dane: true,
    sts: () => ({ find: () => Promise.resolve(sts) }),
    memory: given.memory ?? null,
    clearAfterFailure: true,
    retry: { ...defaultRetryRule, first: 5 * MINUTE, longest: 4 * HOUR, giveUpAfter: 5 * DAY },
    exceptions: given.exceptions ?? [],
    lineOf: (kind, name) => (kind === "route" ? name.length : 3),
    folderProblem: () => given.folderProblem ?? null,
  });
}

test("by MX: hosts in order, each lookup with its status, DANE for the one with records and REQUIRETLS for both", async () => {
  const report = await explained("bob@there.test");
  assert.deepEqual([report.deliverable, report.hostsSecure, report.route.kind], [true, true, "mx"]);
  assert.deepEqual(
    report.hosts.map(({ host, dane, demand }) => [host, dane.found, demand?.mode, demand?.proof]),
    [
      ["mx1.there.test", "records", "required", "dane"],
      ["mx2.there.test", "none", "opportunistic", "nothing"],
    ],
  );
  // The setting lets clear text follow only where nothing has to be proven.
  assert.deepEqual(
    report.hosts.map(({ demand }) => demand?.clearAfterFailure),
    [false, true],
  );
  assert.deepEqual(
    report.hosts.map(({ requireTls }) => requireTls.demand?.proof),
    ["dane", "name"],
  );
  const found = report.lookups.map(({ type, name, answer, secure }) => `${type} ${name} ${answer} ${secure}`);
  assert.ok(found.includes("MX there.test found true"), found.join("; "));
  assert.ok(found.includes("TLSA _25._tcp.mx1.there.test found true"), found.join("; "));
  assert.equal(new Set(found).size, found.length);
});

test("unvalidated MX records: DANE does not count, and REQUIRETLS is refused", async () => {
  const insecure = { ...zone, "there.test": { mx: [{ preference: 10, exchange: "mx1.there.test" }] } };
  const report = await explained("bob@there.test", { zone: insecure });
  const [host] = report.hosts;
  assert.deepEqual([report.hostsSecure, host?.dane.found, host?.demand?.mode], [false, "none", "opportunistic"]);
  assert.deepEqual([host?.requireTls.demand, host?.requireTls.ruledOut?.kind], [null, "failed"]);
});

test("a host outside an enforced policy is ruled out; where all are, the mail would wait", async () => {
  const plain = { "there.test": zone["there.test"] ?? {}, "mx1.there.test": { a: ["192.0.2.1"] } } satisfies DnsZone;
  const listed = await explained("bob@there.test", {
    zone: plain,
    policy: { mode: "enforce", mx: ["mx1.there.test"] },
  });
  assert.deepEqual([listed.hosts[0]?.demand?.proof, listed.hosts[0]?.demand?.names], ["name", ["mx1.there.test"]]);
  assert.equal(listed.mtaSts?.mode, "enforce");
  const other = await explained("bob@there.test", { zone: plain, policy: { mode: "enforce", mx: ["other.test"] } });
  assert.deepEqual([other.deliverable, other.hosts[0]?.ruledOut?.kind], [false, "deferred"]);
  const watched = await explained("bob@there.test", {
    zone: plain,
    policy: { mode: "testing", mx: ["mx1.there.test"] },
  });
  assert.deepEqual([watched.deliverable, watched.hosts[0]?.demand?.watched], [true, "name"]);
});

test("a failed TLSA lookup rules the host out", async () => {
  const report = await explained("bob@there.test", { zone: { ...zone, "_25._tcp.mx1.there.test": "servfail" } });
  assert.deepEqual([report.hosts[0]?.dane.found, report.hosts[0]?.ruledOut?.kind], ["failed", "deferred"]);
  assert.equal(report.deliverable, true);
  assert.ok(
    report.lookups.some(({ type, answer, secure }) => type === "TLSA" && answer === "failed" && secure === null),
  );
});

test("what a host proved before is told and demanded", async () => {
  const proof = { tls: true, version: "TLSv1.3", authenticated: "no" as const };
  const memory: HostMemory = {
    recall: (domain, host) =>
      host === "mx2.there.test" ? { domain, host, ...proof, provenAt: instant(0), fellAt: null } : null,
    proved: () => assert.fail("nothing is written"),
    fell: () => assert.fail("nothing is written"),
    classicalOnly: () => false,
    rememberClassical: () => assert.fail("nothing is written"),
  };
  const { hosts } = await explained("bob@there.test", { memory });
  assert.equal(hosts[0]?.remembered, null);
  assert.deepEqual(hosts[1]?.remembered, { ...proof, provenAt: "1970-01-01T00:00:00.000Z" });
  assert.deepEqual([hosts[1]?.demand?.mode, hosts[1]?.demand?.minVersion], ["required", "TLSv1.3"]);
});

test("a route names its line, its hop and its level", async () => {
  const via = { kind: "smtps", host: "192.0.2.7", port: 465 } as const;
  const report = await explained("bob@there.test", { routes: [{ match: "there.test", via, tls: "encrypted" }] });
  assert.deepEqual(
    { ...report.route, mtaSts: report.mtaSts },
    {
      kind: "relay",
      reason: 'route "there.test"',
      line: "there.test".length,
      via: "smtps://192.0.2.7:465",
      level: "encrypted",
      mtaSts: null,
    },
  );
  assert.equal(report.hosts[0]?.demand?.mode, "implicit");
});

test("mail that ends here: the folder, the LMTP host, nothing; and who has no mailbox", async () => {
  const maildir = await explained("Ann+lists@here.test");
  assert.deepEqual(maildir.local, { kind: "maildir", place: "/mail/ann", problem: null });
  assert.deepEqual([maildir.deliverable, maildir.lookups, maildir.route.line], [true, [], 3]);
  const full = await explained("ann@here.test", { folderProblem: "no" });
  assert.deepEqual([full.deliverable, full.local?.problem], [false, "no"]);
  const lmtp = await explained("bob@lmtp.test");
  assert.deepEqual([lmtp.local?.place, lmtp.hosts[0]?.port, lmtp.deliverable], ["lmtp://192.0.2.9:24", 24, true]);
  assert.equal((await explained("bob@void.test")).deliverable, true);
  const unknown = await explained("bob@here.test");
  assert.deepEqual([unknown.deliverable, unknown.route.kind], [false, "unknown"]);
});

test("a domain that does not exist or takes no mail comes back without a further try, one that cannot be looked up waits", async () => {
  const exceptions = [{ match: "*", reply: "4.7.*", schedule: [MINUTE] }];
  const cases = [
    [null, false],
    [{ mx: [{ preference: 0, exchange: "" }] }, false],
    ["timeout", true],
  ] as const;
  for (const [entry, waits] of cases) {
    const there: DnsZone = entry === null ? {} : { "there.test": entry };
    const report = await explained("bob@there.test", { zone: there, exceptions });
    assert.deepEqual([report.deliverable, report.hosts], [false, []]);
    assert.deepEqual([report.tries.length > 0, report.triesAfter.length > 0], [waits, waits]);
  }
  assert.deepEqual((await explained("bob@here.test")).tries, [], "no such mailbox");
});

const { "_25._tcp.mx1.there.test": _, ...WITHOUT_TLSA } = zone;

test("a policy that could not be asked for yet keeps the mail waiting, and tells why", async () => {
  const sts: StsFinding = { kind: "pending", reason: "no place", failure: null, again: instant(0) };
  const report = await explained("bob@there.test", { zone: WITHOUT_TLSA, sts });
  assert.deepEqual([report.deliverable, report.hosts[0]?.ruledOut?.kind], [false, "deferred"]);
  assert.match(report.verdict, /^waits: .*no place/);
  assert.ok(report.tries.length > 0);
});

test("the tries double their wait up to the longest and end with the lifetime", () => {
  const rule = { ...defaultRetryRule, first: 5 * MINUTE, longest: 20 * MINUTE, giveUpAfter: HOUR };
  const minutes = retryTimes(rule).map(({ after }) => after / 60);
  assert.deepEqual(minutes, [0, 5, 15, 35, 55, 60]);
});

test("tries after replies with a rule of their own are told beside the others", async () => {
  const exceptions = [
    { match: "other.test", reply: null, schedule: [1000] },
    { match: "*", reply: "4.7.*", schedule: [MINUTE, HOUR], giveUpAfter: 3 * HOUR },
    { match: "there.test", reply: null, first: HOUR, longest: HOUR },
  ];
  const { triesAfter, tries } = await explained("ann@there.test", { exceptions });
  assert.deepEqual(triesAfter, [
    { reply: "4.7.*", tries: [0, 60, 3660, 7260, 10_800].map((after, at) => ({ attempt: at + 1, after })) },
  ]);
  assert.deepEqual(tries[1], { attempt: 2, after: 3600 });
});
