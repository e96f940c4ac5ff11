import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { DAY, EMPTY, encodeUtf8, silentLog, unwrap } from "../base/index.ts";
import type { Client, Conversation, MailRequest, SaslVerdict } from "../server/index.ts";
import { createSaslClient, formatStatus, parseDomain, parseMailbox, reply } from "../smtp/index.ts";
import { type FakeClock, fakeClock } from "../testing/index.ts";
import type { AuthThrottleRules } from "./auth-throttle.ts";
import { createAuthenticator } from "./authenticator.ts";
import { type Credentials, openCredentials } from "./credentials.ts";
import { createHome } from "./home.ts";
import type { MailDomains } from "./mail-domains.ts";
import { type Senders, sendersByName } from "./senders.ts";
import type { SendingLimiter } from "./sending-limits.ts";
import { createSubmissionPolicy, type SubmissionPolicyOptions, type SubmissionRules } from "./submission.ts";

const folder = mkdtempSync(join(tmpdir(), "submission-"));
const users = openCredentials(join(folder, "users.db"), {
  cost: { memory: 64, passes: 1, parallelism: 1 },
  scramIterations: 4096,
});
await users.add("Anna", "secret");
await users.add("bob", "other");

after(() => {
  users.close();
  rmSync(folder, { recursive: true });
});

let time: FakeClock;

beforeEach(() => {
  time = fakeClock();
});

interface Setting {
  readonly credentials?: Credentials;
  readonly throttle?: Partial<AuthThrottleRules>;
  readonly senders?: Senders;
  readonly rules?: Partial<SubmissionRules>;
  readonly mailDomains?: MailDomains;
  readonly limiter?: SendingLimiter;
  readonly knows?: NonNullable<SubmissionPolicyOptions["knows"]>;
}

/** Conversations of one service, by the address they come from. */
function service({
  credentials = users,
  throttle = {},
  senders = sendersByName([unwrap(parseDomain("ours.test"))]),
  rules = {},
  mailDomains,
  limiter,
  knows,
}: Setting = {}): (address: string) => Conversation {
  const policy = createSubmissionPolicy({
    authenticator: createAuthenticator({ credentials, clock: time.clock, log: silentLog, throttle }),
    receive: () => ({ kind: "refuse", reply: reply(452, "4.3.1", "x") }),
    home: createHome({ hostname: unwrap(parseDomain("mx.test")), domains: [unwrap(parseDomain("localhost"))] }),
    limits: { messageSize: 1000, recipients: 10, header: 1000, futureRelease: 7 * DAY },
    clock: time.clock,
    log: silentLog,
    hostname: unwrap(parseDomain("mx.test")),
    senders,
    rules: { sender: "enforce", qualifyDomain: null, hideClient: false, ...rules },
    ...(mailDomains === undefined ? {} : { mailDomains }),
    ...(limiter === undefined ? {} : { limiter }),
    ...(knows === undefined ? {} : { knows }),
  });
  return (address) => {
    const client: Client = {
      sessionId: "s1",
      peer: { address, port: 1 },
      local: { address: "192.0.2.25", port: 587 },
      tls: null,
    };
    return policy.begin(client);
  };
}

const HERE = "192.0.2.1";

/** Runs a step, and lets the time pass that a failure takes; `took` is that time. */
async function step(
  conversation: Conversation,
  mechanism: string,
  response: string | Uint8Array | null,
  first = true,
): Promise<{ readonly verdict: SaslVerdict; readonly took: number }> {
  const octets = typeof response === "string" ? encodeUtf8(response) : response;
  const since = time.clock.now();
  let verdict: SaslVerdict | undefined;
  const running = Promise.resolve(conversation.sasl?.(mechanism, octets, first)).then((given) => {
    verdict = given;
  });
  while (verdict === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    if (time.pending > 0) time.advance(50);
  }
  await running;
  return { verdict, took: time.clock.now() - since };
}

function told(verdict: SaslVerdict): string {
  if (verdict.kind === "authenticated") return verdict.identity;
  if (verdict.kind === "challenge") return `challenge ${Buffer.from(verdict.data).toString()}`;
  const status = verdict.reply.status;
  return `${verdict.reply.code} ${status === null ? "" : formatStatus(status)}`;
}

const plain = async (conversation: Conversation, message: string): Promise<string> =>
  told((await step(conversation, "PLAIN", message)).verdict);

test("PLAIN lets in whoever knows the password, as himself alone", async () => {
  const from = service();
  const conversation = from(HERE);
  assert.equal(await plain(conversation, "\0ANNA\0secret"), "anna");
  assert.equal(await plain(conversation, "anna\0anna\0secret"), "anna", "himself, said aloud");
  assert.equal(await plain(conversation, "bob\0anna\0secret"), "535 5.7.8", "another");
  assert.equal(await plain(conversation, "\0anna\0wrong"), "535 5.7.8");
  assert.equal(await plain(conversation, "\0nobody\0secret"), "535 5.7.8");
  assert.equal(await plain(conversation, "\0an na\0secret"), "535 5.7.8", "what can be no name");
  assert.equal(await plain(conversation, "anna secret"), "501 5.5.2");
  assert.equal(told((await step(conversation, "CRAM-MD5", null)).verdict), "504 5.5.4");
});

test("LOGIN asks for both, and an exchange begun anew knows nothing of the last", async () => {
  const conversation = service()(HERE);
  assert.equal(told((await step(conversation, "LOGIN", null)).verdict), "challenge Username:");
  assert.equal(told((await step(conversation, "LOGIN", "anna", false)).verdict), "challenge Password:");
  assert.equal(told((await step(conversation, "LOGIN", null)).verdict), "challenge Username:", "after a cancel");
  assert.equal(told((await step(conversation, "LOGIN", "bob", false)).verdict), "challenge Password:");
  assert.equal(
    told((await step(conversation, "LOGIN", "secret", false)).verdict),
    "535 5.7.8",
    "anna's password for bob",
  );
  await step(conversation, "LOGIN", "bob");
  assert.equal(told((await step(conversation, "LOGIN", "other", false)).verdict), "bob");
});

async function scram(conversation: Conversation, authcid: string, password: string, authzid?: string): Promise<string> {
  const client = createSaslClient(
    "SCRAM-SHA-256",
    authzid === undefined ? { authcid, password } : { authcid, password, authzid },
    {
      hash: (data) => createHash("sha256").update(data).digest(),
      hmac: (key, data) => createHmac("sha256", key).update(data).digest(),
      pbkdf2: (secret, salt, iterations) => pbkdf2Sync(secret, salt, iterations, 32, "sha256"),
      nonce: () => "rOprNGfwEbeRWgbNEkqO",
    },
  );
  assert.ok(client);
  let { verdict } = await step(conversation, client.mechanism, client.initial);
  while (verdict.kind === "challenge") {
    const answer = unwrap(client.next(verdict.data));
    ({ verdict } = await step(conversation, client.mechanism, client.complete ? EMPTY : answer, false));
  }
  return told(verdict);
}

test("SCRAM-SHA-256 lets in whoever knows the password, as himself alone", async () => {
  const from = service();
  assert.equal(await scram(from(HERE), "Anna", "secret"), "anna");
  assert.equal(await scram(from(HERE), "anna", "secret", "ANNA"), "anna");
  assert.equal(await scram(from(HERE), "anna", "secret", "bob"), "535 5.7.8");
  assert.equal(await scram(from(HERE), "anna", "wrong"), "535 5.7.8");
  assert.equal(await scram(from(HERE), "nobody", "secret"), "535 5.7.8", "and not before the proof");
});

test("every failure takes the same time, which grows, by whatever cause and mechanism", async () => {
  const took = async (run: (conversation: Conversation) => Promise<unknown>): Promise<number> => {
    const conversation = service({ throttle: { firstDelay: 400 } })(HERE);
    const since = time.clock.now();
    await run(conversation);
    const once = time.clock.now() - since;
    await run(conversation);
    assert.equal(time.clock.now() - since - once, 2 * once, "twice the time");
    return once;
  };
  for (const [authcid, password] of [
    ["anna", "wrong"],
    ["nobody", "secret"],
    ["\u00a0", "x"],
  ] as const) {
    assert.equal(await took((conversation) => plain(conversation, `\0${authcid}\0${password}`)), 400);
    assert.equal(await took((conversation) => scram(conversation, authcid, password)), 400);
  }
  assert.equal(await took((conversation) => plain(conversation, "bob\0anna\0secret")), 400);
  const success = await step(service()(HERE), "PLAIN", "\0anna\0secret");
  assert.equal(success.took, 0);
});

test("after too many failures nothing of that address is checked, and failures count across connections", async () => {
  const from = service({ throttle: { perAddress: 3 } });
  for (let i = 0; i < 3; i++) assert.equal(await plain(from(HERE), `\0user${i}\0x`), "535 5.7.8");
  const { verdict } = await step(from(HERE), "PLAIN", "\0anna\0secret");
  assert.equal(told(verdict), "454 4.7.0");
  assert.equal(verdict.kind === "refuse" && verdict.close, true);
  assert.equal(await scram(from(HERE), "anna", "secret"), "454 4.7.0");
  assert.equal(await plain(from("192.0.2.2"), "\0anna\0secret"), "anna", "another address");
});

test("our trouble is 454, so that no client throws a good password away", async () => {
  const broken: Credentials = {
    ...users,
    verify: () => Promise.reject(new Error("disk I/O error")),
    scram() {
      throw new Error("disk I/O error");
    },
  };
  assert.equal(await plain(service({ credentials: broken })(HERE), "\0anna\0secret"), "454 4.7.0");
  assert.equal(await scram(service({ credentials: broken })(HERE), "anna", "secret"), "454 4.7.0");
  const busy: Credentials = { ...users, verify: async () => ({ kind: "busy" }) };
  assert.equal(await plain(service({ credentials: busy })(HERE), "\0anna\0secret"), "454 4.7.0");
});

test("an address whose domain is one label is refused, unless that domain is ours (RFC 6409 §4.2)", async () => {
  const conversation = service({ rules: { sender: "any" } })(HERE);
  const hello = { verb: "EHLO", name: "x" } as const;
  const mail = async (path: string) => {
    const reversePath = unwrap(parseMailbox(path));
    const verdict = await conversation.mail?.({ hello, identity: "anna", reversePath, parameters: {} });
    return verdict?.kind === "refuse" ? verdict.reply.code : verdict?.kind;
  };
  const recipient = async (path: string) => {
    const transaction = { hello, identity: "anna", reversePath: null, parameters: {}, recipients: [] };
    const request = { recipient: unwrap(parseMailbox(path)), parameters: {} };
    const verdict = await conversation.recipient?.(request, transaction);
    return verdict?.kind === "refuse" ? verdict.reply.code : verdict?.kind;
  };
  for (const ask of [mail, recipient]) {
    assert.equal(await ask("bob@sales"), 554);
    assert.equal(await ask("bob@sales.test"), "accept");
    assert.equal(await ask("bob@[192.0.2.7]"), "accept");
    assert.equal(await ask("bob@localhost"), "accept", "a domain of this server");
  }
});

test("TLS and AUTH are demanded, and without an identity nobody sends", async () => {
  const conversation = service()(HERE);
  const offer = conversation.offer();
  assert.deepEqual([offer.requireTls, offer.requireAuth], [true, true]);
  assert.deepEqual([...offer.mechanisms].sort(), ["LOGIN", "PLAIN", "SCRAM-SHA-256"]);
  const request: MailRequest = {
    hello: { verb: "EHLO", name: "x" },
    identity: null,
    reversePath: unwrap(parseMailbox("anna@ours.test")),
    parameters: {},
  };
  const judge = async (identity: string | null, setting: Setting = {}): Promise<string | undefined> =>
    (await service(setting)(HERE).mail?.({ ...request, identity }))?.kind;
  assert.equal(await judge(null), "refuse");
  assert.equal(await judge("anna"), "accept");
  assert.equal(await judge("Bob"), "refuse");
  assert.equal(await judge("bob", { rules: { sender: "correct" } }), "refuse", "the envelope is never corrected");
  assert.equal(await judge("bob", { rules: { sender: "any" } }), "accept");
  assert.equal(await judge(null, { rules: { sender: "any" } }), "refuse");
  const all: Senders = { addressesOf: async () => [{ kind: "any" }] };
  assert.equal(await judge("bob", { senders: all }), "accept");
  const broken: Senders = { addressesOf: () => Promise.reject(new Error("the users file is gone")) };
  await assert.rejects(judge("anna", { senders: broken }), "the engine answers 451");
});

test("who may not send any more is told so at the next MAIL, also with the null reverse-path", async () => {
  let barred = false;
  const limiter: SendingLimiter = {
    begin: () => ({
      admit: async () => (barred ? reply(550, "5.7.1", "x") : null),
      mail: () => null,
      recipient: () => null,
      message: (sink) => sink,
      end: () => {},
    }),
    close: () => {},
  };
  const conversation = service({ limiter })(HERE);
  const hello = { verb: "EHLO", name: "x" } as const;
  const code = async (path: string | null) => {
    const reversePath = path === null ? null : unwrap(parseMailbox(path));
    const verdict = await conversation.mail?.({ hello, identity: "anna", reversePath, parameters: {} });
    return verdict?.kind === "refuse" ? verdict.reply.code : verdict?.kind;
  };
  assert.deepEqual([await code("anna@ours.test"), await code(null)], ["accept", "accept"]);
  barred = true;
  assert.deepEqual([await code("anna@ours.test"), await code(null)], [550, 550]);
});

test("how long mail may be held is announced as a length and as a date (RFC 4865 §3)", () => {
  const now = time.clock.now();
  const [line] = service()(HERE)
    .offer()
    .extensions.filter(([keyword]) => keyword === "FUTURERELEASE");
  assert.equal(line?.[1], "604800");
  assert.equal(Date.parse(line?.[2] ?? ""), Math.floor((now + 7 * DAY) / 1000) * 1000);
});

test("a release that is over, too far away or later than the time to deliver by is refused (RFC 4865 §4.2, §5.2.2)", async () => {
  const date = (milliseconds: number) => new Date(time.clock.now() + milliseconds).toISOString();
  const judge = async (parameters: MailRequest["parameters"]): Promise<string> => {
    const request: MailRequest = {
      hello: { verb: "EHLO", name: "x" },
      identity: "anna",
      reversePath: null,
      parameters,
    };
    const verdict = await service()(HERE).mail?.(request);
    if (verdict?.kind !== "refuse") return "accept";
    return `${verdict.reply.code} ${verdict.reply.status === null ? "" : formatStatus(verdict.reply.status)}`;
  };
  assert.equal(await judge({ hold: { for: 604_800 } }), "accept");
  assert.equal(await judge({ hold: { for: 604_801 } }), "501 5.5.4");
  assert.equal(await judge({ hold: { until: date(7 * DAY) } }), "accept");
  assert.equal(await judge({ hold: { until: date(7 * DAY + 1) } }), "501 5.5.4");
  assert.equal(await judge({ hold: { until: date(-1000) } }), "501 5.5.4");
  const by = { seconds: 100, mode: "N", trace: false } as const;
  assert.equal(await judge({ by, hold: { for: 100 } }), "accept");
  assert.equal(await judge({ by, hold: { for: 101 } }), "501 5.5.4");
});

test("a user learns at once that a mailbox of ours does not exist", async () => {
  const conversation = service({ knows: ({ localPart }) => localPart === "bob" })(HERE);
  const hello = { verb: "EHLO", name: "x" } as const;
  const transaction = { hello, identity: "anna", reversePath: null, parameters: {}, recipients: [] };
  const code = async (path: string) => {
    const request = { recipient: unwrap(parseMailbox(path)), parameters: {} };
    const verdict = await conversation.recipient?.(request, transaction);
    return verdict?.kind === "refuse" ? verdict.reply.code : verdict?.kind;
  };
  assert.equal(await code("bob@localhost"), "accept");
  assert.equal(await code("bod@localhost"), 550);
  assert.equal(await code("bod@elsewhere.test"), "accept", "not ours to know");
});
