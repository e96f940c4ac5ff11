// A man in the middle at the exchanger of each domain, against everything that may forbid what he does. What was said to him is looked at
// octet by octet; then he is taken away, and the mail that waited goes through.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MessageDetail } from "../../src/admin/index.ts";
import { makeCertificate } from "../../src/testing/index.ts";
import {
  authority,
  impostors,
  keptSilence,
  type Letter,
  type PolicyHost,
  policyText,
  Scene,
  SECRET,
  startPolicyHost,
  type Told,
} from "./attack-scene.ts";
import { type Interposer, type Manner, type Overheard, startInterposer } from "./interposer.ts";

type Harm =
  /** There is no TLS to be had. */
  | "noTls"
  /** TLS does not come about. */
  | "broken"
  /** He is caught at it before it begins. */
  | "caught"
  /** TLS comes about, with him. */
  | "impostor"
  /** The same, in an older version. */
  | "older";

interface Attack {
  readonly harm: Harm;
  readonly manner: Manner;
  /** In the stored reason. */
  readonly cause: RegExp;
  /** RFC 8460 §4.3.1. */
  readonly told: string;
}

interface Shield {
  /** Route of `[[route]]`, null: none. */
  readonly level: "encrypted" | "verified" | "dane" | null;
  readonly signed?: true;
  readonly tlsa?: true;
  readonly sts?: true;
  readonly requireTls?: true;
  /** The host proved TLS before the attack began. */
  readonly proved?: true;
  readonly forbids: readonly Harm[];
  /** The rule that is stored, and the policy that is told of in reports. */
  readonly rule: RegExp;
  readonly policy: "no-policy-found" | "sts" | "tlsa";
}

const all: readonly Harm[] = ["noTls", "broken", "caught", "impostor", "older"];
const shields: Readonly<Record<string, Shield>> = {
  opportunistic: { level: null, forbids: ["caught"], rule: /^opportunistic/, policy: "no-policy-found" },
  encrypted: {
    level: "encrypted",
    forbids: ["noTls", "broken", "caught"],
    rule: /^encrypted \(route/,
    policy: "no-policy-found",
  },
  verified: { level: "verified", forbids: all, rule: /^verified \(route/, policy: "no-policy-found" },
  mandatory: { level: "dane", signed: true, tlsa: true, forbids: all, rule: /^dane \(TLSA/, policy: "tlsa" },
  dane: { level: null, signed: true, tlsa: true, forbids: all, rule: /^dane \(TLSA/, policy: "tlsa" },
  sts: { level: null, sts: true, forbids: all, rule: /^verified \(MTA-STS policy of /, policy: "sts" },
  both: { level: null, signed: true, tlsa: true, sts: true, forbids: all, rule: /^dane \(TLSA/, policy: "tlsa" },
  proved: {
    level: null,
    proved: true,
    forbids: ["noTls", "broken", "caught", "older"],
    rule: /^encrypted \(held to what it proved/,
    policy: "no-policy-found",
  },
  signed: {
    level: null,
    signed: true,
    requireTls: true,
    forbids: all,
    rule: /^verified \(REQUIRETLS/,
    policy: "no-policy-found",
  },
  promised: { level: null, sts: true, requireTls: true, forbids: all, rule: /^verified \(REQUIRETLS/, policy: "sts" },
};

/** Where it is he with whom TLS is spoken. */
const IN_TLS: ReadonlySet<Harm> = new Set(["impostor", "older"]);
const NO_TLS = { harm: "noTls", told: "starttls-not-supported" } as const;
const BROKEN = { harm: "broken", told: "validation-failure" } as const;
const names = Object.keys(shields);
const ATTACKS = [
  ...["stripped", "unintroduced", "refused", "unknown", "leaving", "odd", "silent", "injected", "late", "garbled"],
  ...["misnamed", "expired", "selfsigned", "foreign", "older"],
];
const domains = ATTACKS.flatMap((attack) => names.map((shield) => `${attack}.${shield}.test`));
const pairs = impostors(domains.map((domain) => `mx.${domain}`));
const impostor = (pair: Extract<Manner, { kind: "terminate" }>["pair"], cause: RegExp, told: string): Attack => ({
  harm: "impostor",
  manner: { kind: "terminate", pair },
  cause,
  told,
});
const attacks: Readonly<Record<string, Attack>> = {
  stripped: { ...NO_TLS, manner: { kind: "strip" }, cause: /does not offer STARTTLS/ },
  unintroduced: {
    ...NO_TLS,
    manner: { kind: "refuse", verb: "EHLO", line: "502 5.5.1 HELO is all I know" },
    cause: /does not offer STARTTLS/,
  },
  refused: {
    ...NO_TLS,
    manner: { kind: "refuse", verb: "STARTTLS", line: "454 4.7.0 not now" },
    cause: /at STARTTLS: 454/,
  },
  unknown: {
    ...NO_TLS,
    manner: { kind: "refuse", verb: "STARTTLS", line: "500 5.5.1 what" },
    cause: /at STARTTLS: 500/,
  },
  // RFC 3207 §4: 220 alone is "go", and neither of these says that clear text will do.
  leaving: {
    ...NO_TLS,
    harm: "caught",
    manner: { kind: "refuse", verb: "STARTTLS", line: "421 4.3.2 I have to go" },
    cause: /at STARTTLS: 421/,
  },
  odd: {
    ...BROKEN,
    harm: "caught",
    manner: { kind: "refuse", verb: "STARTTLS", line: "250 2.0.0 go on in clear" },
    cause: /broke the protocol at STARTTLS/,
  },
  silent: { ...BROKEN, manner: { kind: "mute" }, cause: /did not answer in time/ },
  injected: {
    ...BROKEN,
    harm: "caught",
    manner: { kind: "inject", octets: "250 2.0.0 go on\r\n" },
    cause: /broke the protocol at STARTTLS/,
  },
  late: {
    ...BROKEN,
    manner: { kind: "garble", octets: "250 2.0.0 go on in clear\r\n" },
    cause: /TLS handshake/,
  },
  garbled: {
    ...BROKEN,
    manner: { kind: "garble", octets: "\x16\x03\x03\x00\x04\xff\x00\x00\x00" },
    cause: /TLS handshake/,
  },
  misnamed: impostor(pairs.otherName, /is for another name/, "certificate-host-mismatch"),
  expired: impostor(pairs.expired, /is not valid at this time/, "certificate-expired"),
  selfsigned: impostor(pairs.selfSigned, /by no authority/, "certificate-not-trusted"),
  foreign: impostor(pairs.otherChain, /by no authority/, "certificate-not-trusted"),
  older: {
    harm: "older",
    manner: { kind: "terminate", pair: pairs.selfSigned, maxVersion: "TLSv1.2" },
    cause: /by no authority|TLS handshake .*failed/,
    told: "certificate-not-trusted",
  },
};

/** One attack on mail that one rule protects. */
interface Case extends Letter {
  readonly attack: Attack;
  readonly shield: Shield;
  readonly host: string;
  readonly address: string;
  readonly forbidden: boolean;
}

const cases: readonly Case[] = Object.entries(attacks).flatMap(([attackName, attack], row) =>
  Object.entries(shields).map(([shieldName, shield], column) => {
    const domain = `${attackName}.${shieldName}.test`;
    return {
      name: `${attackName}-${shieldName}`,
      domain,
      host: `mx.${domain}`,
      address: `127.77.${row}.${column + 1}`,
      attack,
      shield,
      requireTls: shield.requireTls === true,
      forbidden: shield.forbids.includes(attack.harm),
    };
  }),
);

/** What came of a case while he stood there. */
interface Seen {
  readonly heard: readonly Overheard[];
  readonly queued: MessageDetail | null;
  readonly arrived: boolean;
  readonly returned: string | null;
}

const seen = new Map<string, Seen>();
const between = new Map<string, Interposer>();
let scene: Scene;
let policyHost: PolicyHost;
let printed: unknown;
let results: ReadonlyMap<string, readonly Told[]>;

before(async () => {
  const route = (level: string, name: string) => `[[route]]\nmatch = ".${name}.test"\nvia = "mx"\ntls = "${level}"\n`;
  scene = await Scene.start({
    domains,
    // Clear text after a failed handshake is what the operator wants here, where nothing forbids it.
    delivery: 'after_tls_failure = "clear"',
    routes: () =>
      Object.entries(shields)
        .flatMap(([name, { level }]) => (level === null ? [] : [route(level, name)]))
        .join(""),
  });
  const pair = makeCertificate({ names: domains.map((domain) => `mta-sts.${domain}`), issuer: authority });
  policyHost = await startPolicyHost("127.0.0.1", scene.webPort, pair, (host) => ({
    status: 200,
    body: policyText("enforce", host.slice("mta-sts.".length)),
  }));
  for (const one of cases) await stage(one);
  const proved = cases.filter(({ shield }) => shield.proved === true);
  await scene.submit(proved.map(({ domain }) => ({ name: "before", domain })));
  await scene.retried();
  for (const { name, attack } of cases) change(name, attack.manner);
  await scene.submit(cases);
  await scene.tried(cases);
  for (const one of cases) seen.set(one.name, await look(one));
  printed = await scene.printed(seen.get("stripped-sts")?.queued?.id ?? "");
  for (const { name } of cases) change(name, { kind: "pass" });
  await scene.submit(
    cases
      .filter(({ requireTls }) => requireTls === true)
      .map((letter) => ({ ...letter, name: `again-${letter.name}` })),
  );
  await scene.retried();
  results = await scene.results();
});

after(async () => {
  await scene?.[Symbol.asyncDispose]();
  for (const interposer of between.values()) await interposer[Symbol.asyncDispose]();
  await policyHost?.[Symbol.asyncDispose]();
});

async function stage({ name, domain, address, shield }: Case): Promise<void> {
  const behind = scene.receiver.ports.mx;
  between.set(name, await startInterposer({ address, port: scene.port, behind, manner: { kind: "pass" } }));
  scene.exchanger(domain, address, { secure: shield.signed === true });
  if (shield.tlsa === true) scene.tlsa(domain, scene.pair, { secure: true });
  if (shield.sts === true) scene.announce(domain, "1");
}

function change(name: string, manner: Manner): void {
  const interposer = between.get(name);
  if (interposer === undefined) throw new Error(name);
  interposer.manner = manner;
  interposer.cut();
}

async function look(one: Case): Promise<Seen> {
  const known = one.shield.proved === true ? 1 : 0;
  const heard = between.get(one.name)?.connections.slice(known) ?? [];
  return {
    heard: heard.map(({ clear, sealed, opened }) => ({ clear, sealed, opened })),
    queued: await scene.queued(one),
    arrived: await scene.arrived(one),
    returned: await scene.returned(one),
  };
}

function evidence({ name }: Case): Seen {
  const found = seen.get(name);
  if (found === undefined) throw new Error(name);
  return found;
}

/** RFC 8460 §4.3.1, where DANE tells no more than that nothing matched. */
function expectedResult({ attack, shield }: Case): string {
  if (!IN_TLS.has(attack.harm)) return attack.told;
  return shield.tlsa === true || shield.proved === true ? "validation-failure" : attack.told;
}

function expectedCause({ attack, shield }: Case): RegExp {
  const byKey = shield.tlsa === true && IN_TLS.has(attack.harm);
  return byKey ? /matches none of its TLSA records/ : attack.cause;
}

test("what is looked at below is what queue show prints", () => {
  assert.deepEqual(printed, seen.get("stripped-sts")?.queued);
});

for (const one of cases.filter(({ forbidden }) => forbidden)) {
  const { name, host, domain, shield } = one;
  test(`${name}: nothing goes out, ${one.requireTls ? "the mail comes back" : "the mail waits"}, and all is told`, async () => {
    const { heard, queued, arrived, returned } = evidence(one);
    assert.equal(arrived, false);
    assert.ok(heard.length > 0);
    for (const overheard of heard) {
      assert.ok(keptSilence(overheard), JSON.stringify(overheard));
    }
    const [failed] = scene.logged("delivery.host.failed", host);
    assert.match(String(failed?.rule), shield.rule);
    if (one.requireTls) {
      assert.equal(queued, null);
      assert.match(returned ?? "", /\r\nAction: failed\r\nStatus: 5\.7\.10\r\n/);
      assert.match(String(scene.logged("queue.failed", `${name}@${domain}`)[0]?.text), expectedCause(one));
    } else {
      const recipient = queued?.recipients[0];
      assert.equal(recipient?.state, "waiting");
      assert.ok(Date.parse(recipient?.nextAttempt ?? "") > Date.parse(queued?.receivedAt ?? ""));
      assert.match(recipient?.last?.rule ?? "", shield.rule);
      assert.match(recipient?.last?.text ?? "", expectedCause(one));
      assert.match(recipient?.last?.status ?? "", /^4\.[3457]\.\d+$/);
      assert.ok(queued?.story.some(({ event }) => event === "deferred"));
      assert.match(String(scene.logged("queue.deferred", `${name}@${domain}`)[0]?.next), /^\d{4}-/);
      assert.equal(returned, null);
    }
    assert.equal(scene.logged("delivery.downgrade.held", host).length, shield.proved === true ? 1 : 0);
    assert.ok(
      results
        .get(domain)
        ?.some((told) => told.policy === shield.policy && told.type === expectedResult(one) && told.host === host),
      JSON.stringify(results.get(domain)),
    );
    const later = one.requireTls ? `again-${name}` : name;
    assert.equal((await scene.receiver.mail(later)).length, 1, "once he is gone it arrives");
  });
}

for (const one of cases.filter(({ forbidden }) => !forbidden)) {
  const { name, attack } = one;
  test(`${name}: nothing forbids it, so he reads the mail (what this rule does not cover)`, () => {
    const { heard, queued, arrived } = evidence(one);
    assert.deepEqual([queued, arrived], [null, true]);
    const how = IN_TLS.has(attack.harm) ? "opened" : "clear";
    assert.ok(heard.some((overheard) => overheard[how].includes(SECRET) && /^MAIL FROM:/m.test(overheard[how])));
  });
}
