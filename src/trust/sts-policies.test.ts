import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { DAY, err, HOUR, type Log, MINUTE, ok, type Result, SECOND } from "../base/index.ts";
import { type FakeResolver, fakeClock, fakeResolver } from "../testing/index.ts";
import type { StsFailure, StsFinding } from "./model.ts";
import { createStsPolicies, type KeptStsPolicies } from "./sts-policies.ts";
import { formatStsPolicy, parseStsPolicy, type ServedPolicy } from "./sts-policy.ts";
import { openTrustFile } from "./trust-file.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-sts-"));
after(() => rmSync(folder, { recursive: true, force: true }));

type Fetched = Result<ServedPolicy, StsFailure>;

const unreachable: Fetched = err({ type: "sts-policy-fetch-error", detail: "the policy host is down" });

function policy(mode: ServedPolicy["mode"], maxAge = 7 * DAY, mx = ["mx.example.test"]): Fetched {
  const parsed = parseStsPolicy(formatStsPolicy({ mode, mx, maxAge }));
  assert.ok(parsed.ok);
  return parsed;
}

const announces = (id: string) => ({ txt: [`v=STSv1; id=${id};`] });

interface Bench {
  readonly policies: KeptStsPolicies;
  readonly clock: ReturnType<typeof fakeClock>;
  readonly dns: FakeResolver;
  /** Domains fetched so far. */
  readonly fetched: string[];
  /** Log events at `info` and above, with the domain. */
  readonly logged: string[];
  /** What the policy host answers from now on. */
  serve(answer: Fetched | Promise<Fetched>): void;
}

function bench(options: { file?: DatabaseSync; clock?: ReturnType<typeof fakeClock> } = {}): Bench {
  const clock = options.clock ?? fakeClock();
  const dns = fakeResolver({ "_mta-sts.example.test": announces("one") });
  const fetched: string[] = [];
  const logged: string[] = [];
  let answer: Fetched | Promise<Fetched> = policy("enforce");
  const serve = (next: Fetched | Promise<Fetched>): void => {
    answer = next;
  };
  const note = (event: string, fields: Record<string, unknown> = {}): void =>
    void logged.push(`${event} ${fields.domain}`);
  const log: Log = { debug() {}, info: note, warn: note, error: note, child: () => log };
  const policies = createStsPolicies({
    resolver: dns,
    file: options.file ?? null,
    clock: clock.clock,
    log,
    fetch: async (domain) => {
      fetched.push(domain);
      return await answer;
    },
  });
  return { policies, clock, dns, fetched, logged, serve };
}

/** `enforce one`, `none`, `unknown`, `pending`, with the type of a failure behind it. */
function told(finding: StsFinding): string {
  const failure = finding.failure === null ? "" : ` ${finding.failure.type}`;
  if (finding.kind === "policy") return `${finding.policy.mode} ${finding.policy.id}${failure}`;
  if (finding.kind === "pending") return "pending";
  return `${finding.unknown === true ? "unknown" : "none"}${failure}`;
}

test("a policy is fetched once, and kept for its max_age", async () => {
  const { policies, clock, fetched } = bench();
  const found = await policies.find("Example.Test.");
  assert.ok(found.kind === "policy");
  const { domain, id, mode, mx, lines, fetchedAt, expiresAt } = found.policy;
  assert.deepEqual(
    { domain, id, mode, mx },
    { domain: "example.test", id: "one", mode: "enforce", mx: ["mx.example.test"] },
  );
  assert.equal(lines.length, 4);
  assert.equal(expiresAt - fetchedAt, 7 * DAY);
  clock.advance(3 * MINUTE);
  assert.equal(told(await policies.find("example.test")), "enforce one");
  assert.deepEqual(fetched, ["example.test"]);
  policies.close();
});

test("a domain that announces nothing is not asked for a policy", async () => {
  const { policies, fetched, dns } = bench();
  for (const name of ["other.test", "[192.0.2.1]", "", "a b", "x".repeat(300)]) {
    assert.equal(told(await policies.find(name)), "none", name);
  }
  dns.set("_mta-sts.two.test", { txt: ["v=STSv1; id=a;", "v=STSv1; id=b;"] });
  assert.equal(told(await policies.find("two.test")), "none");
  for (const trouble of ["servfail", "timeout"] as const) {
    dns.set("_mta-sts.trouble.test", trouble);
    assert.equal(told(await policies.find("trouble.test")), "unknown", "a lookup that failed is no absence");
  }
  assert.equal(told(await policies.find("sub.example.test")), "none", "RFC 8461 §3.4: never the parent's");
  assert.deepEqual(fetched, []);
  policies.close();
});

test("an alias of the TXT record is followed", async () => {
  const { policies, dns } = bench();
  dns.set("_mta-sts.customer.test", { cname: "_mta-sts.example.test" });
  assert.equal(told(await policies.find("customer.test")), "enforce one");
  policies.close();
});

test("a new id fetches the new policy before mail is judged by the old one", async () => {
  const { policies, dns, serve, fetched } = bench();
  await policies.find("example.test");
  dns.set("_mta-sts.example.test", announces("two"));
  serve(policy("testing"));
  assert.equal(told(await policies.find("example.test")), "testing two");
  assert.equal(fetched.length, 2);
  policies.close();
});

test("a policy that says none ends the old one, and is not fetched again each time", async () => {
  const { policies, dns, serve, fetched, logged } = bench();
  await policies.find("example.test");
  dns.set("_mta-sts.example.test", announces("two"));
  serve(policy("none", DAY, []));
  for (let time = 0; time < 3; time++) assert.equal(told(await policies.find("example.test")), "none");
  assert.equal(fetched.length, 2);
  dns.set("_mta-sts.example.test", announces("three"));
  serve(unreachable);
  assert.equal(told(await policies.find("example.test")), "none", "and nothing to report of it (RFC 8461 §6)");
  assert.ok(!logged.some((line) => line.startsWith("trust.sts.failed")), "nor an alarm (§10.2)");
  policies.close();
});

test("without a policy a failed fetch stops nothing, and is not repeated for five minutes", async () => {
  const { policies, clock, serve, fetched, logged } = bench();
  serve(unreachable);
  for (let time = 0; time < 3; time++)
    assert.equal(told(await policies.find("example.test")), "none sts-policy-fetch-error");
  assert.deepEqual([fetched.length, logged], [1, ["trust.sts.failed example.test"]]);
  clock.advance(5 * MINUTE + 1);
  serve(policy("enforce"));
  assert.equal(told(await policies.find("example.test")), "enforce one");
  policies.close();
});

test("a new id is worth a fetch though the last one failed", async () => {
  const { policies, dns, serve, fetched } = bench();
  serve(unreachable);
  await policies.find("example.test");
  dns.set("_mta-sts.example.test", announces("two"));
  serve(policy("enforce"));
  assert.equal(told(await policies.find("example.test")), "enforce two");
  assert.equal(fetched.length, 2);
  policies.close();
});

test("whatever fails, a policy that was had stays until it expires", async () => {
  const { policies, clock, dns, serve } = bench();
  await policies.find("example.test");
  serve(unreachable);
  dns.set("_mta-sts.example.test", announces("two"));
  assert.equal(told(await policies.find("example.test")), "enforce one sts-policy-fetch-error");
  assert.equal(told(await policies.find("example.test")), "enforce one sts-policy-fetch-error", "within the pause too");
  dns.set("_mta-sts.example.test", null);
  assert.equal(told(await policies.find("example.test")), "enforce one sts-policy-fetch-error");
  dns.set("_mta-sts.example.test", "timeout");
  assert.equal(told(await policies.find("example.test")), "enforce one sts-policy-fetch-error");
  serve(err({ type: "sts-webpki-invalid", detail: "expired" }));
  dns.set("_mta-sts.example.test", announces("three"));
  assert.equal(told(await policies.find("example.test")), "enforce one sts-webpki-invalid");
  await clock.run(7 * DAY + 1);
  dns.set("_mta-sts.example.test", null);
  assert.equal(told(await policies.find("example.test")), "none");
  policies.close();
});

test("who asks while a policy is being fetched waits for that fetch", async () => {
  const { policies, serve, fetched } = bench();
  const answer = Promise.withResolvers<Fetched>();
  serve(answer.promise);
  const asked = [1, 2, 3].map(() => policies.find("example.test"));
  await new Promise((resolve) => setImmediate(resolve));
  answer.resolve(policy("enforce"));
  assert.deepEqual((await Promise.all(asked)).map(told), ["enforce one", "enforce one", "enforce one"]);
  assert.equal(fetched.length, 1);
  policies.close();
});

const SLOW = Array.from({ length: 200 }, (_, at) => `slow${at}.test`);

/** 200 policy hosts that are mute, asked for their policies just now; all others answer. */
async function besieged() {
  const clock = fakeClock();
  const dns = fakeResolver({ "_mta-sts.example.test": announces("one") });
  for (const name of SLOW) dns.set(`_mta-sts.${name}`, announces("one"));
  const log: Log = { debug() {}, info() {}, warn: (event) => assert.fail(event), error: assert.fail, child: () => log };
  const policies = createStsPolicies({
    resolver: dns,
    file: null,
    clock: clock.clock,
    log,
    fetch: (domain, signal) => {
      if (!domain.startsWith("slow")) return Promise.resolve(policy("enforce"));
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve(unreachable)));
    },
  });
  const slow = SLOW.map((name) => policies.find(name));
  await new Promise((resolve) => setImmediate(resolve));
  return { policies, clock, dns, slow };
}

test("where slow policy hosts hold all places another domain is not taken to have no policy", async () => {
  const { policies, clock } = await besieged();
  const found = await policies.find("example.test");
  assert.ok(found.kind === "pending");
  assert.equal(found.again - clock.clock.now(), 10 * SECOND);
  policies.close();
});

test("slow policy hosts keep no place for long: the first of them gives way, and that is no failure of its own", async () => {
  const { policies, clock, slow } = await besieged();
  clock.advance(10 * SECOND);
  assert.equal(told(await policies.find("example.test")), "enforce one");
  const first = await slow[0];
  assert.ok(first?.kind === "pending");
  assert.ok(first.again > clock.clock.now());
  let others = 0;
  for (const other of slow.slice(1)) void other.then(() => others++);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(others, 0, "one place was needed");
  policies.close();
  assert.ok((await Promise.all(slow)).every(({ kind }) => kind === "pending"));
});

test("while a changed policy cannot be asked for the old one counts where it is enforced, and else mail waits", async () => {
  for (const [mode, expected] of [
    ["enforce", "enforce one"],
    ["testing", "pending"],
    ["none", "pending"],
  ] as const) {
    const file = openTrustFile(join(folder, `changed-${mode}.sqlite`));
    const clock = fakeClock();
    const before = bench({ file, clock });
    before.serve(policy(mode, DAY, mode === "none" ? [] : undefined));
    await before.policies.find("example.test");
    const { policies, dns, serve } = bench({ file, clock });
    serve(new Promise(() => {}));
    for (const name of SLOW) dns.set(`_mta-sts.${name}`, announces("one"));
    for (const name of SLOW) void policies.find(name);
    dns.set("_mta-sts.example.test", announces("two"));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told(await policies.find("example.test")), expected);
    for (const each of [before.policies, policies]) each.close();
    file.close();
  }
});

test("a fetch that fails takes no newer policy away, which another mail or process had meanwhile", async () => {
  const file = openTrustFile(join(folder, "two.sqlite"));
  const clock = fakeClock();
  const [one, other] = [bench({ file, clock }), bench({ file, clock })];
  for (const { policies } of [one, other]) await policies.find("example.test");
  for (const { dns } of [one, other]) dns.set("_mta-sts.example.test", announces("two"));
  other.serve(policy("testing"));
  assert.equal(told(await other.policies.find("example.test")), "testing two");
  one.serve(unreachable);
  assert.equal(told(await one.policies.find("example.test")), "testing two", "the file has it");
  for (const { dns } of [one, other]) dns.set("_mta-sts.example.test", announces("three"));
  const answer = Promise.withResolvers<Fetched>();
  one.serve(answer.promise);
  const asked = one.policies.find("example.test");
  await new Promise((resolve) => setImmediate(resolve));
  other.serve(policy("enforce"));
  assert.equal(told(await other.policies.find("example.test")), "enforce three");
  answer.resolve(unreachable);
  await asked;
  const third = bench({ file, clock });
  third.dns.set("_mta-sts.example.test", null);
  assert.equal(told(await third.policies.find("example.test")), "enforce three sts-policy-fetch-error");
  for (const { policies } of [one, other, third]) policies.close();
  file.close();
});

test("a max_age of nothing does not make each message fetch the policy", async () => {
  const { policies, clock, serve, fetched } = bench();
  serve(policy("enforce", 0));
  for (let time = 0; time < 5; time++) assert.equal(told(await policies.find("example.test")), "enforce one");
  assert.equal(fetched.length, 1);
  clock.advance(6 * MINUTE);
  await policies.find("example.test");
  assert.equal(fetched.length, 2);
  policies.close();
});

test("policies are fetched anew each day, whatever DNS says, and so outlive their max_age", async () => {
  const { policies, clock, dns, fetched } = bench();
  await policies.find("example.test");
  dns.set("_mta-sts.example.test", null);
  await clock.run(6 * DAY);
  assert.ok(fetched.length >= 5 && fetched.length <= 7, String(fetched.length));
  await clock.run(4 * DAY);
  assert.match(told(await policies.find("example.test")), /^enforce one/);
  policies.close();
});

test("a refresh that fails is told of and tried again in an hour", async () => {
  const { policies, clock, serve, fetched, logged } = bench();
  await policies.find("example.test");
  serve(unreachable);
  await clock.run(DAY + 3 * HOUR + 30 * MINUTE);
  assert.ok(fetched.length >= 4 && fetched.length <= 5, String(fetched.length));
  assert.equal(logged.filter((line) => line === "trust.sts.failed example.test").length, fetched.length - 1);
  policies.close();
});

test("a policy that no mail asks for is left to expire", async () => {
  const { policies, clock, serve, fetched } = bench();
  serve(policy("enforce", 30 * DAY));
  await policies.find("example.test");
  for (let day = 0; day < 100; day++) await clock.run(DAY);
  const until = fetched.length;
  assert.ok(until >= 55 && until <= 65, String(until));
  await clock.run(10 * DAY);
  assert.equal(fetched.length, until);
  policies.close();
});

test("policies outlive the process", async () => {
  const clock = fakeClock();
  const path = join(folder, "trust.sqlite");
  const file = openTrustFile(path);
  const first = bench({ file, clock });
  await first.policies.find("example.test");
  first.policies.close();
  file.close();
  clock.advance(DAY);
  const again = openTrustFile(path);
  const second = bench({ file: again, clock });
  const found = await second.policies.find("example.test");
  assert.ok(found.kind === "policy");
  assert.deepEqual([found.policy.mx, found.policy.lines.length], [["mx.example.test"], 4]);
  assert.equal(second.fetched.length, 0);
  await clock.run(10 * MINUTE);
  assert.equal(second.fetched.length, 1, "and are fetched anew when their day is over");
  await clock.run(100 * DAY);
  second.policies.close();
  assert.equal(again.prepare("SELECT count(*) AS n FROM sts_policy").get()?.n, 0, "what expired is gone from the file");
  again.close();
});

test("a file that fails stops no mail", async () => {
  const file = openTrustFile(join(folder, "broken.sqlite"));
  const { policies, fetched, logged } = bench({ file });
  file.exec("DROP TABLE sts_policy");
  for (let time = 0; time < 3; time++) assert.equal(told(await policies.find("example.test")), "enforce one");
  assert.equal(fetched.length, 1, "what was fetched is kept in memory");
  assert.ok(logged.some((line) => line.startsWith("trust.sts.store-failed")));
  policies.close();
  file.close();
});

test("nothing is left to do after a close, and a fetch that it ended is no failure of the domain's", async () => {
  const { policies, clock, serve, logged } = bench();
  const answer = Promise.withResolvers<Fetched>();
  serve(answer.promise);
  const asked = policies.find("example.test");
  await new Promise((resolve) => setImmediate(resolve));
  policies.close();
  answer.resolve(unreachable);
  assert.equal(told(await asked), "pending");
  await clock.run(DAY);
  assert.deepEqual([clock.pending, logged], [0, []]);
});

test("a policy is taken as it was parsed", () => {
  assert.deepEqual(
    policy("none", 0, []),
    ok({ mode: "none", mx: [], maxAge: 0, lines: ["version: STSv1", "mode: none", "max_age: 0"] }),
  );
});
