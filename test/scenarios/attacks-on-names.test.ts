// A man in the middle who has DNS, or the way to the policy host, and often the way to the exchanger too: what names and policies are worth
// under each rule. Each row is one domain, attacked once mail for it is offered, and mended afterwards.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MessageDetail } from "../../src/admin/index.ts";
import { type KeyPair, makeCertificate } from "../../src/testing/index.ts";
import {
  authority,
  keptSilence,
  type Letter,
  type PolicyAnswer,
  type PolicyHost,
  policyText,
  Scene,
  SECRET,
  startPolicyHost,
  type Told,
} from "./attack-scene.ts";
import { type Interposer, type Manner, type Overheard, startInterposer } from "./interposer.ts";

interface Row {
  readonly title: string;
  readonly level?: "encrypted" | "verified" | "dane";
  /** The route names the exchanger itself. */
  readonly named?: true;
  /** The exchanger of the row `spare` takes its mail too, as the second choice. */
  readonly second?: true;
  /** MX and addresses are validated. */
  readonly signed?: true;
  readonly tlsa?: true;
  readonly sts?: true;
  /** Mail went there before, so that the policy is kept. */
  readonly known?: true;
  readonly requireTls?: boolean;
  readonly attack: readonly Attack[];
  /** `read`: by the attacker; `safe`: it reaches the host over TLS; else what becomes of it, and nobody hears of it. */
  readonly ends: "read" | "safe" | "waits" | "returned";
  /** A connection to the host is made all the same. */
  readonly connects?: true;
  readonly rule?: RegExp;
  readonly cause?: RegExp;
  /** Policy and result type of the report, null where it is no matter of TLS. */
  readonly told: readonly [Told["policy"], string] | null;
}

type Attack =
  /** Another host in the MX answer, which is not signed: the attacker's own, with a certificate that an authority gave him. */
  | "otherMx"
  /** What a validating resolver makes of that where the zone is signed. */
  | "mxServfail"
  /** STARTTLS is stripped at the host. */
  | "strip"
  /** A TLSA record of his own key, not validated; with `ownKey` he shows that key at the host. */
  | "forgedTlsa"
  | "ownKey"
  | "tlsaServfail"
  /** TXT record of MTA-STS: none at all, or no answer. */
  | "noTxt"
  | "txtServfail"
  /** A new policy is announced, and the policy host: is not there, redirects, shows his certificate, speaks no TLS. */
  | "policyDown"
  | "policyRedirect"
  | "policyOwnKey"
  | "policyHttp";

const NOT_STARTTLS = "starttls-not-supported";
const STS = /^verified \(MTA-STS policy of /;
const known = { sts: true, known: true } as const;
const stripped = {
  ends: "waits",
  connects: true,
  rule: STS,
  cause: /does not offer STARTTLS/,
  told: ["sts", NOT_STARTTLS],
} as const;
const unread = { sts: true, ends: "safe", rule: /^opportunistic/ } as const;
const lookup = {
  signed: true,
  attack: ["tlsaServfail"],
  ends: "waits",
  cause: /the TLSA lookup for .* failed/,
  told: ["tlsa", "dnssec-invalid"],
} as const;
const foreign = { ends: "waits", connects: true, cause: /by no authority/ } as const;
const forged: readonly Attack[] = ["forgedTlsa", "ownKey"];
const ruledOut = {
  attack: ["otherMx"],
  cause: /is no host of the MTA-STS policy/,
  told: ["sts", "validation-failure"],
} as const;

const rows: Readonly<Record<string, Row>> = {
  mx: { title: "opportunistic", attack: ["otherMx"], ends: "read", told: ["no-policy-found", "success"] },
  mxencrypted: {
    title: "encrypted",
    level: "encrypted",
    attack: ["otherMx"],
    ends: "read",
    told: ["no-policy-found", "success"],
  },
  mxverified: {
    title: "verified, by MX: the name itself comes from DNS",
    level: "verified",
    attack: ["otherMx"],
    ends: "read",
    told: ["no-policy-found", "success"],
  },
  mxnamed: {
    title: "verified, a configured host",
    level: "verified",
    named: true,
    attack: ["otherMx"],
    ends: "safe",
    rule: /^verified \(route/,
    told: null,
  },
  mxmandatory: {
    title: "dane",
    level: "dane",
    signed: true,
    tlsa: true,
    attack: ["otherMx"],
    ends: "waits",
    cause: /no TLSA records that count/,
    told: ["tlsa", "dane-required"],
  },
  spare: {
    title: "nobody there at all",
    attack: [],
    ends: "safe",
    rule: /^opportunistic/,
    told: ["no-policy-found", "success"],
  },
  second: {
    title: "verified, and a second host that he does not stand before",
    level: "verified",
    second: true,
    attack: ["strip"],
    ends: "safe",
    rule: /^verified \(route/,
    told: ["no-policy-found", NOT_STARTTLS],
  },
  mxsts: { title: "MTA-STS", sts: true, ends: "waits", ...ruledOut },
  mxdane: {
    title: "DANE in a signed zone",
    signed: true,
    tlsa: true,
    attack: ["mxServfail"],
    ends: "waits",
    cause: /the MX lookup for .* failed/,
    told: null,
  },
  mxrequired: {
    title: "REQUIRETLS",
    signed: true,
    requireTls: true,
    attack: ["otherMx"],
    ends: "returned",
    cause: /nothing proves that/,
    told: null,
  },
  mxpromised: { title: "REQUIRETLS and MTA-STS", sts: true, requireTls: true, ends: "returned", ...ruledOut },

  down: { title: "policy host down, a policy is kept", ...known, attack: ["policyDown", "strip"], ...stripped },
  downonly: {
    title: "policy host down, a policy is kept, the host is honest",
    ...known,
    attack: ["policyDown"],
    ends: "safe",
    rule: STS,
    told: ["sts", "sts-policy-fetch-error"],
  },
  notxt: { title: "TXT suppressed, a policy is kept", ...known, attack: ["noTxt", "strip"], ...stripped },
  txtfails: { title: "TXT lookup broken, a policy is kept", ...known, attack: ["txtServfail", "strip"], ...stripped },
  redirect: { title: "policy redirected, one is kept", ...known, attack: ["policyRedirect", "strip"], ...stripped },
  http: { title: "`none` over HTTP, a policy is kept", ...known, attack: ["policyHttp", "strip"], ...stripped },
  nonekey: {
    title: "`none` by his own key, a policy is kept",
    ...known,
    attack: ["policyOwnKey", "strip"],
    ...stripped,
  },
  downnew: { title: "policy host down", ...unread, attack: ["policyDown"], told: ["sts", "sts-policy-fetch-error"] },
  redirectnew: {
    title: "policy redirected",
    ...unread,
    attack: ["policyRedirect"],
    told: ["sts", "sts-policy-fetch-error"],
  },
  httpnew: { title: "`none` over HTTP", ...unread, attack: ["policyHttp"], told: ["sts", "sts-policy-fetch-error"] },
  keynew: { title: "`none` by his own key", ...unread, attack: ["policyOwnKey"], told: ["sts", "sts-webpki-invalid"] },
  first: {
    title: "MTA-STS, TXT suppressed at the first contact",
    sts: true,
    attack: ["noTxt", "strip"],
    ends: "read",
    told: ["no-policy-found", NOT_STARTTLS],
  },
  downrequired: {
    title: "REQUIRETLS, policy host down",
    sts: true,
    requireTls: true,
    attack: ["policyDown"],
    ends: "waits",
    cause: /the policy that it announces cannot be had/,
    told: ["sts", "sts-policy-fetch-error"],
  },

  forged: {
    title: "TLSA forged, the host is honest: it counts for nothing",
    signed: true,
    attack: ["forgedTlsa"],
    ends: "safe",
    rule: /^opportunistic/,
    told: ["no-policy-found", "success"],
  },
  forgedmandatory: {
    title: "TLSA forged under dane",
    level: "dane",
    signed: true,
    tlsa: true,
    attack: forged,
    ends: "waits",
    cause: /no TLSA records that count/,
    told: ["tlsa", "dane-required"],
  },
  forgedsts: {
    title: "TLSA forged against MTA-STS: it does not win over it",
    signed: true,
    sts: true,
    attack: forged,
    ...foreign,
    rule: STS,
    told: ["sts", "certificate-not-trusted"],
  },
  forgedverified: {
    title: "TLSA forged under verified",
    level: "verified",
    signed: true,
    attack: forged,
    ...foreign,
    rule: /^verified \(route/,
    told: ["no-policy-found", "certificate-not-trusted"],
  },
  forgedrequired: {
    title: "TLSA forged under REQUIRETLS",
    signed: true,
    requireTls: true,
    attack: forged,
    ends: "returned",
    connects: true,
    cause: /by no authority/,
    told: ["no-policy-found", "certificate-not-trusted"],
  },

  tlsafails: { title: "TLSA lookup broken under DANE", tlsa: true, ...lookup },
  tlsafailsmandatory: { title: "TLSA lookup broken under dane", level: "dane", tlsa: true, ...lookup },
  tlsafailsverified: { title: "TLSA lookup broken under verified", level: "verified", ...lookup },
  tlsafailssts: { title: "TLSA lookup broken, with MTA-STS", sts: true, ...lookup },
  tlsafailsrequired: { title: "TLSA lookup broken under REQUIRETLS", tlsa: true, requireTls: true, ...lookup },
  mxfails: {
    title: "MX lookup broken: never the address in its place",
    attack: ["mxServfail"],
    ends: "waits",
    cause: /the MX lookup for .* failed/,
    told: null,
  },
};

/** A row at work. */
interface Case extends Row, Letter {
  /** Of the exchanger, and of the attacker's own host. */
  readonly address: string;
  readonly attacker: string;
}

const cases: readonly Case[] = Object.entries(rows).map(([name, row], place) => ({
  ...row,
  name,
  domain: `${name}.test`,
  address: `127.78.${place}.1`,
  attacker: `127.78.${place}.2`,
}));

interface Seen {
  readonly heard: readonly Overheard[];
  readonly byAttacker: readonly Overheard[];
  readonly queued: MessageDetail | null;
  readonly arrived: readonly string[];
  readonly returned: string | null;
}

const NOBODY = "127.78.255.1";
const LIAR = "127.78.255.2";
const HTTP_LIAR = "127.78.255.3";
const ELSEWHERE = "mta-sts.elsewhere.test";
const domains = cases.map(({ domain }) => domain);
const policyNames = [...domains.map((domain) => `mta-sts.${domain}`), ELSEWHERE];
const ownPair = makeCertificate({ names: domains.map((domain) => `mx.${domain}`) });
const ownHost: Manner = {
  kind: "terminate",
  pair: makeCertificate({ names: ["*.attacker.test"], issuer: authority }),
};

const seen = new Map<string, Seen>();
const hosts = new Map<string, Interposer>();
const attackers = new Map<string, Interposer>();
const redirected = new Set<string>();
const policyHosts: PolicyHost[] = [];
let scene: Scene;
let results: ReadonlyMap<string, readonly Told[]>;

before(async () => {
  scene = await Scene.start({
    domains,
    // What hosts proved before is no part of this: the other file has it.
    delivery: 'downgrade_hold = "0s"',
    routes: (port) =>
      cases
        .flatMap(({ domain, level, named }) => (level === undefined ? [] : [routeOf(domain, level, named ? port : 0)]))
        .join(""),
  });
  const truth: PolicyAnswer = (host) =>
    redirected.has(host)
      ? { status: 301, location: `https://${ELSEWHERE}:${scene.webPort}/.well-known/mta-sts.txt`, body: "" }
      : { status: 200, body: policyText("enforce", host.slice("mta-sts.".length)) };
  const none: PolicyAnswer = (host) => ({ status: 200, body: policyText("none", host.slice("mta-sts.".length)) });
  policyHosts.push(
    await startPolicyHost("127.0.0.1", scene.webPort, certificateFor(policyNames), truth),
    await startPolicyHost(LIAR, scene.webPort, makeCertificate({ names: policyNames }), none),
    await startPolicyHost(HTTP_LIAR, scene.webPort, null, none),
  );
  scene.dns.set(ELSEWHERE, { a: ["127.0.0.1"], ttl: 0 });
  for (const one of cases) await stage(one);
  await scene.submit(cases.filter((one) => one.known === true).map(({ domain }) => ({ name: "before", domain })));
  await scene.retried();
  for (const one of cases) for (const attack of one.attack) attackBy[attack](one);
  const heardBefore = new Map(cases.map(({ name }) => [name, hosts.get(name)?.connections.length ?? 0]));
  for (const host of hosts.values()) host.cut();
  await scene.submit(cases);
  await scene.tried(cases);
  for (const one of cases) seen.set(one.name, await look(one, heardBefore.get(one.name) ?? 0));
  for (const one of cases) mend(one);
  const again = cases.filter((one) => one.ends === "returned");
  await scene.submit(again.map((one) => ({ ...one, name: `again-${one.name}` })));
  await scene.retried();
  results = await scene.results();
});

after(async () => {
  await scene?.[Symbol.asyncDispose]();
  for (const one of [...hosts.values(), ...attackers.values(), ...policyHosts]) await one[Symbol.asyncDispose]();
});

function certificateFor(names: readonly string[]): KeyPair {
  return makeCertificate({ names, issuer: authority });
}

function routeOf(domain: string, level: string, port: number): string {
  const via = port === 0 ? "mx" : `smtp://mx.${domain}:${port}`;
  return `[[route]]\nmatch = "${domain}"\nvia = "${via}"\ntls = "${level}"\n`;
}

async function stage(one: Case): Promise<void> {
  const both = { port: scene.port, behind: scene.receiver.ports.mx };
  hosts.set(one.name, await startInterposer({ ...both, address: one.address, manner: { kind: "pass" } }));
  attackers.set(one.name, await startInterposer({ ...both, address: one.attacker, manner: ownHost }));
  scene.dns.set(attackerOf(one), { a: [one.attacker], ttl: 0 });
  honest(one, "1");
}

/** DNS as the owner of the domain has it. */
function honest({ domain, address, signed, tlsa, sts, second }: Case, id: string): void {
  scene.exchanger(domain, address, { secure: signed === true });
  if (second === true) {
    const mx = [`mx.${domain}`, "mx.spare.test"].map((exchange, place) => ({ preference: 10 * place, exchange }));
    scene.dns.set(domain, { mx, ttl: 0 });
  }
  scene.dns.set(`_${scene.port}._tcp.mx.${domain}`, null);
  if (tlsa === true) scene.tlsa(domain, scene.pair, { secure: true });
  if (sts === true) scene.announce(domain, id);
}

/** The attacker is gone. */
function mend(one: Case): void {
  redirected.delete(`mta-sts.${one.domain}`);
  honest(one, "3");
  at(one, { kind: "pass" });
  hosts.get(one.name)?.cut();
}

const attackBy: Readonly<Record<Attack, (one: Case) => void>> = {
  otherMx: (one) => scene.dns.set(one.domain, { mx: [{ preference: 1, exchange: attackerOf(one) }], ttl: 0 }),
  mxServfail: ({ domain }) => scene.dns.set(domain, { mx: "servfail", a: ["127.78.255.9"], ttl: 0 }),
  strip: (one) => at(one, { kind: "strip" }),
  forgedTlsa: ({ domain }) => scene.tlsa(domain, ownPair, { secure: false }),
  ownKey: (one) => at(one, { kind: "terminate", pair: ownPair }),
  tlsaServfail: ({ domain }) => scene.tlsa(domain, "servfail", { secure: true }),
  noTxt: ({ domain }) => scene.dns.set(`_mta-sts.${domain}`, null),
  txtServfail: ({ domain }) => scene.dns.set(`_mta-sts.${domain}`, { txt: "servfail", ttl: 0 }),
  policyDown: ({ domain }) => scene.announce(domain, "2", NOBODY),
  policyRedirect: ({ domain }) => {
    redirected.add(`mta-sts.${domain}`);
    scene.announce(domain, "2");
  },
  policyOwnKey: ({ domain }) => scene.announce(domain, "2", LIAR),
  policyHttp: ({ domain }) => scene.announce(domain, "2", HTTP_LIAR),
};

function at({ name }: Case, manner: Manner): void {
  const host = hosts.get(name);
  if (host === undefined) throw new Error(name);
  host.manner = manner;
}

function attackerOf({ name }: Case): string {
  return `${name}.attacker.test`;
}

async function look(one: Case, heardBefore: number): Promise<Seen> {
  const copy = (all: readonly Overheard[]) => all.map(({ clear, sealed, opened }) => ({ clear, sealed, opened }));
  return {
    heard: copy(hosts.get(one.name)?.connections.slice(heardBefore) ?? []),
    byAttacker: copy(attackers.get(one.name)?.connections ?? []),
    queued: await scene.queued(one),
    arrived: await scene.receiver.mail(one.name),
    returned: await scene.returned(one),
  };
}

for (const one of cases) {
  test(`${one.attack.join(" and ") || "nothing"}, ${one.title}: ${one.ends}`, () => {
    const found = seen.get(one.name);
    if (found === undefined) throw new Error(one.name);
    const { heard, byAttacker, queued, arrived, returned } = found;
    const types = results.get(one.domain)?.map(({ policy, type }) => `${policy} ${type}`) ?? [];
    if (one.told !== null) assert.ok(types.includes(one.told.join(" ")), types.join());
    else
      assert.ok(
        types.every((type) => type.endsWith(" success")),
        types.join(),
      );
    if (one.ends === "read") {
      assert.equal(arrived.length, 1);
      assert.ok([...heard, ...byAttacker].some(({ clear, opened }) => (clear + opened).includes(SECRET)));
      return;
    }
    assert.deepEqual(byAttacker, []);
    for (const overheard of heard) assert.ok(keptSilence(overheard), JSON.stringify(overheard));
    assert.equal(heard.length > 0, one.ends === "safe" || one.connects === true);
    assert.equal(arrived.length, one.ends === "safe" ? 1 : 0);
    check[one.ends](one, queued, returned);
  });
}

const check = {
  safe({ name, domain, rule }: Case, queued: MessageDetail | null): void {
    assert.equal(queued, null);
    const [delivered] = scene.logged("queue.delivered", `${name}@${domain}`);
    assert.match(String(delivered?.rule), rule ?? /^$/);
    assert.match(String(delivered?.tls), /^TLSv1\.3/);
  },
  waits({ name, domain, rule, cause }: Case, queued: MessageDetail | null, returned: string | null): void {
    const recipient = queued?.recipients[0];
    assert.equal(recipient?.state, "waiting");
    assert.ok(Date.parse(recipient?.nextAttempt ?? "") > Date.parse(queued?.receivedAt ?? ""));
    assert.match(recipient?.last?.text ?? "", cause ?? /^$/);
    assert.match(recipient?.last?.status ?? "", /^4\.[47]\.\d+$/);
    if (rule !== undefined) assert.match(recipient?.last?.rule ?? "", rule);
    assert.equal(scene.logged("queue.deferred", `${name}@${domain}`)[0]?.text, recipient?.last?.text);
    assert.equal(returned, null);
  },
  returned({ name, domain, cause }: Case, queued: MessageDetail | null, returned: string | null): void {
    assert.equal(queued, null);
    assert.match(returned ?? "", /\r\nAction: failed\r\nStatus: 5\.7\.[13]0\r\n/);
    assert.match(String(scene.logged("queue.failed", `${name}@${domain}`)[0]?.text), cause ?? /^$/);
  },
};

test("once he is gone everything that waited arrives, once", async () => {
  const late = cases.filter(({ ends }) => ends === "waits").map(({ name }) => name);
  const again = cases.filter(({ ends }) => ends === "returned").map(({ name }) => `again-${name}`);
  for (const user of [...late, ...again]) assert.equal((await scene.receiver.mail(user)).length, 1, user);
});

test("no redirect is followed, and each policy that could not be had is told of in the log", () => {
  const [truth] = policyHosts;
  assert.ok(truth !== undefined && truth.asked.length > 0);
  assert.ok(!truth.asked.some((line) => line.startsWith(ELSEWHERE)), truth.asked.join());
  for (const { name, domain, attack, known: kept } of cases) {
    const way = attack.find((one) => one in FETCHES);
    const [first] = scene.logged("trust.sts.failed", domain);
    assert.equal(first === undefined, way === undefined, name);
    if (first === undefined || way === undefined) continue;
    assert.match(`${first.type} ${first.detail}`, FETCHES[way] ?? /^$/, name);
    assert.equal(typeof first.keeps === "string", kept === true, name);
  }
});

/** How the fetch of a policy fails. */
const FETCHES: Readonly<Partial<Record<Attack, RegExp>>> = {
  policyDown: /^sts-policy-fetch-error .*refused/i,
  policyRedirect: /^sts-policy-fetch-error .*301/,
  policyOwnKey: /^sts-webpki-invalid /,
  policyHttp: /^sts-policy-fetch-error /,
};

test("a configured host is used whatever MX says: nobody asks for it", () => {
  assert.ok(!scene.dns.asked.some((line) => / MX mxnamed\.test$/.test(line)));
  assert.ok(scene.dns.asked.some((line) => / MX mxverified\.test$/.test(line)));
});
