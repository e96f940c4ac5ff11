import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { EMPTY, encodeUtf8, type Log } from "../base/index.ts";
import type { Client, SaslVerdict } from "../server/index.ts";
import { createSaslClient, formatStatus, type SaslChannel, type SaslCredentials } from "../smtp/index.ts";
import { type FakeClock, fakeClock } from "../testing/index.ts";
import { AuthThrottle } from "./auth-throttle.ts";
import { type AuthenticatorOptions, createAuthenticator } from "./authenticator.ts";
import { openCredentials } from "./credentials.ts";
import type { TokenVerification } from "./token-source.ts";

const folder = mkdtempSync(join(tmpdir(), "authenticator-"));
const users = openCredentials(join(folder, "users.db"), {
  cost: { memory: 64, passes: 1, parallelism: 1 },
  scramIterations: 4096,
});
await users.add("anna", "secret");
await users.add("bob", "other");

after(() => {
  users.close();
  rmSync(folder, { recursive: true });
});

let time: FakeClock;
let logged: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[];

beforeEach(() => {
  time = fakeClock();
  logged = [];
});

const keep = (event: string, fields?: Readonly<Record<string, unknown>>): void => {
  logged.push({ event, fields: fields ?? {} });
};
const log: Log = { debug: keep, info: keep, warn: keep, error: keep, child: () => log };

const EXPORTED = encodeUtf8("what both ends exported");
const TLS_13 = (type: string): Uint8Array | null => (type === "tls-exporter" ? EXPORTED : null);

const TOKENS: Readonly<Record<string, TokenVerification>> = {
  "anna.token": { kind: "valid", identity: "Anna" },
  "ghost.token": { kind: "valid", identity: "ghost" },
  "old.token": { kind: "invalid", reason: "expired" },
  "calendar.token": { kind: "insufficientScope", reason: "not for mail" },
  "any.token": { kind: "unavailable", reason: "the issuer is away" },
};

const tokens = {
  scope: "mail",
  configuration: "https://id.test/.well-known/openid-configuration",
  check: async (token: string): Promise<TokenVerification> => TOKENS[token] ?? { kind: "invalid", reason: "unknown" },
};

interface Caller {
  readonly certificate?: string;
  readonly channelBinding?: NonNullable<Client["channelBinding"]>;
  readonly address?: string;
}

const clientOf = ({ address = "192.0.2.1", ...rest }: Caller): Client => ({
  sessionId: "s1",
  peer: { address, port: 1 },
  local: { address: "192.0.2.25", port: 587 },
  tls: null,
  ...rest,
});

const authenticator = (options: Partial<AuthenticatorOptions> = {}) =>
  createAuthenticator({ credentials: users, clock: time.clock, log, throttle: { firstDelay: 400 }, ...options });

/** Everything that can be offered. */
const whole = { tokens, userOfPeer: (peer: string) => (peer === "scanner" ? "Anna" : peer === "fax" ? "ghost" : null) };

async function settled<T>(running: Promise<T>): Promise<T> {
  let over = false;
  void running.finally(() => {
    over = true;
  });
  while (!over) {
    await new Promise((resolve) => setImmediate(resolve));
    if (time.pending > 0) time.advance(50);
  }
  return await running;
}

function told(verdict: SaslVerdict): string {
  if (verdict.kind === "authenticated") return verdict.identity;
  if (verdict.kind === "challenge") return `challenge ${Buffer.from(verdict.data).toString()}`;
  const { code, status } = verdict.reply;
  return `${code} ${status === null ? "" : formatStatus(status)}`;
}

type Service = ReturnType<typeof authenticator>;

/** Steps of one exchange; the last verdict, and how long all of it took. */
async function exchange(service: Service, caller: Caller, mechanism: string, ...responses: readonly (string | null)[]) {
  const authentication = service.begin(clientOf(caller));
  const since = time.clock.now();
  const verdicts: string[] = [];
  for (const [at, response] of responses.entries()) {
    const octets = response === null ? null : encodeUtf8(response);
    verdicts.push(told(await settled(authentication.step(mechanism, octets, at === 0))));
  }
  return { verdicts, last: verdicts.at(-1), took: time.clock.now() - since };
}

/** Our own client against it. */
async function login(
  service: Service,
  caller: Caller,
  mechanism: string,
  credentials: SaslCredentials,
  channel?: SaslChannel,
): Promise<string> {
  const crypto = {
    hash: (data: Uint8Array) => createHash("sha256").update(data).digest(),
    hmac: (key: Uint8Array, data: Uint8Array) => createHmac("sha256", key).update(data).digest(),
    pbkdf2: (secret: Uint8Array, salt: Uint8Array, iterations: number) =>
      pbkdf2Sync(secret, salt, iterations, 32, "sha256"),
    nonce: () => "rOprNGfwEbeRWgbNEkqO",
  };
  const client = createSaslClient(mechanism, credentials, crypto, channel);
  assert.ok(client);
  const authentication = service.begin(clientOf(caller));
  let verdict = await settled(authentication.step(mechanism, client.initial, true));
  while (verdict.kind === "challenge") {
    const answer = client.next(verdict.data);
    verdict = await settled(authentication.step(mechanism, answer.ok ? answer.value : EMPTY, false));
  }
  return told(verdict);
}

test("each client is offered what it can use", () => {
  const offered = (options: Partial<AuthenticatorOptions>, caller: Caller = {}) =>
    authenticator(options).mechanismsFor(clientOf(caller)).join(" ");
  assert.equal(offered({}), "SCRAM-SHA-256 PLAIN LOGIN");
  assert.equal(offered({}, { channelBinding: TLS_13 }), "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
  assert.equal(offered({}, { channelBinding: () => null }), "SCRAM-SHA-256 PLAIN LOGIN", "nothing to bind to");
  assert.equal(offered(whole), "SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2");
  assert.equal(offered(whole, { certificate: "scanner" }), "EXTERNAL SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2");
  assert.equal(offered(whole, { certificate: "partner" }), "SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2", "no user");
  assert.equal(offered({ ...whole, mechanisms: ["LOGIN", "PLAIN"] }, { channelBinding: TLS_13 }), "PLAIN LOGIN");
  const asked = { verify: users.verify, account: users.account, close: () => {} };
  assert.equal(offered({ credentials: asked }, { channelBinding: TLS_13 }), "PLAIN LOGIN", "a source without keys");
});

test("what was not offered is not served", async () => {
  for (const mechanism of ["EXTERNAL", "OAUTHBEARER", "XOAUTH2", "SCRAM-SHA-256-PLUS", "CRAM-MD5"]) {
    assert.equal((await exchange(authenticator(), {}, mechanism, "")).last, "504 5.5.4", mechanism);
  }
  const stranger = await exchange(authenticator(whole), { certificate: "partner" }, "EXTERNAL", "anna");
  assert.equal(stranger.last, "504 5.5.4");
});

test("SCRAM-SHA-256-PLUS lets in who sees our TLS, and nobody else (RFC 5802 §6)", async () => {
  const caller = { channelBinding: TLS_13 };
  const anna = { authcid: "anna", password: "secret" };
  const channel = (data: Uint8Array) => ({ binding: { type: "tls-exporter", data }, plusOffered: true });
  const service = authenticator();
  assert.equal(await login(service, caller, "SCRAM-SHA-256-PLUS", anna, channel(EXPORTED)), "anna");
  assert.equal(logged.length, 0);
  assert.equal(await login(service, caller, "SCRAM-SHA-256-PLUS", anna, channel(encodeUtf8("else"))), "535 5.7.8");
  const stripped = { ...channel(EXPORTED), plusOffered: false };
  assert.equal(await login(service, caller, "SCRAM-SHA-256", anna, stripped), "535 5.7.8", "the offer was taken away");
  assert.deepEqual(
    logged.map(({ event }) => event),
    ["intake.auth.unbound", "intake.auth.unbound"],
  );
  assert.equal(await login(service, {}, "SCRAM-SHA-256", anna, stripped), "anna", "it was not offered");
  const wrong = { authcid: "anna", password: "guess" };
  assert.equal(await login(service, caller, "SCRAM-SHA-256-PLUS", wrong, channel(EXPORTED)), "535 5.7.8");
});

test("EXTERNAL lets a certificate in as its user, as himself alone (RFC 4422 appendix A)", async () => {
  const service = authenticator(whole);
  const scanner = { certificate: "scanner" };
  assert.equal((await exchange(service, scanner, "EXTERNAL", "")).last, "anna");
  assert.equal((await exchange(service, scanner, "EXTERNAL", null, "")).last, "anna", "asked first");
  assert.equal((await exchange(service, scanner, "EXTERNAL", "ANNA")).last, "anna");
  const other = await exchange(service, scanner, "EXTERNAL", "bob");
  assert.deepEqual([other.last, other.took], ["535 5.7.8", 400]);
  assert.equal((await exchange(service, scanner, "EXTERNAL", "a\0b")).last, "501 5.5.2");
  assert.equal((await exchange(service, { certificate: "fax" }, "EXTERNAL", "")).last, "535 5.7.8", "no such user");
});

const oauth = (token: string, user?: string) =>
  `n,${user === undefined ? "" : `a=${user}`},\x01auth=Bearer ${token}\x01\x01`;

test("a token lets in the user it speaks of, as himself alone (RFC 7628 §3)", async () => {
  const service = authenticator(whole);
  assert.equal((await exchange(service, {}, "OAUTHBEARER", oauth("anna.token", "anna"))).last, "anna");
  assert.equal((await exchange(service, {}, "OAUTHBEARER", oauth("anna.token"))).last, "anna");
  assert.equal((await exchange(service, {}, "OAUTHBEARER", null, oauth("anna.token"))).last, "anna");
  assert.equal((await exchange(service, {}, "XOAUTH2", "user=ANNA\x01auth=Bearer anna.token\x01\x01")).last, "anna");
  assert.equal(await login(service, {}, "OAUTHBEARER", { authcid: "anna", token: "anna.token" }), "anna");
  assert.equal(await login(service, {}, "XOAUTH2", { authcid: "anna", token: "anna.token" }), "anna");
});

test("every bad token gets one answer after one time: expired, somebody else's, nobody's (RFC 7628 §3.2.2)", async () => {
  const refusal =
    'challenge {"status":"invalid_token","scope":"mail","openid-configuration":"https://id.test/.well-known/openid-configuration"}';
  for (const message of [
    oauth("old.token", "anna"),
    oauth("anna.token", "bob"),
    oauth("ghost.token", "ghost"),
    oauth("ghost.token"),
    oauth("nonsense"),
  ]) {
    const { verdicts, took } = await exchange(authenticator(whole), {}, "OAUTHBEARER", message, "\x01");
    assert.deepEqual([verdicts, took], [[refusal, "535 5.7.8"], 400], message);
  }
  const older = await exchange(authenticator(whole), {}, "XOAUTH2", "user=anna\x01auth=Bearer old.token\x01\x01", "");
  assert.deepEqual(older.verdicts, ['challenge {"status":"401","schemes":"bearer","scope":"mail"}', "535 5.7.8"]);
  const narrow = await exchange(authenticator(whole), {}, "OAUTHBEARER", oauth("calendar.token"), "\x01");
  assert.match(narrow.verdicts[0] ?? "", /"insufficient_scope"/);
  assert.equal(narrow.last, "535 5.7.8");
});

test("a bad token counts once, also where the client leaves before its answer", async () => {
  const service = authenticator({ ...whole, throttle: { perAddress: 3 } });
  for (let attempt = 0; attempt < 3; attempt++) await exchange(service, {}, "OAUTHBEARER", oauth("old.token"));
  assert.equal((await exchange(service, {}, "OAUTHBEARER", oauth("anna.token"))).last, "454 4.7.0");
  const patient = authenticator({ ...whole, throttle: { perAddress: 3 } });
  for (let attempt = 0; attempt < 2; attempt++) await exchange(patient, {}, "OAUTHBEARER", oauth("old.token"), "\x01");
  assert.equal((await exchange(patient, {}, "OAUTHBEARER", oauth("anna.token"))).last, "anna");
});

test("an issuer that is away is 454, and no token is ever logged", async () => {
  const { last } = await exchange(authenticator(whole), {}, "OAUTHBEARER", oauth("any.token", "anna"));
  assert.equal(last, "454 4.7.0");
  await exchange(authenticator(whole), {}, "OAUTHBEARER", oauth("old.token", "anna"), "\x01");
  const failing = { ...tokens, check: () => Promise.reject(new Error("a bug")) };
  const broken = await exchange(authenticator({ ...whole, tokens: failing }), {}, "OAUTHBEARER", oauth("old.token"));
  assert.equal(broken.last, "454 4.7.0");
  assert.deepEqual(
    logged.map(({ event, fields }) => [event, fields.reason]),
    [
      ["intake.auth.deferred", "issuer"],
      ["intake.auth.refused", "expired"],
      ["intake.auth.failed", undefined],
    ],
  );
  assert.doesNotMatch(JSON.stringify(logged), /\.token/);
});

test("a removed or disabled user comes in by neither token nor certificate", async () => {
  const gone = { ...whole, credentials: { verify: users.verify, account: () => null, close: () => {} } };
  assert.equal((await exchange(authenticator(gone), {}, "OAUTHBEARER", oauth("anna.token"), "\x01")).last, "535 5.7.8");
  assert.equal((await exchange(authenticator(gone), { certificate: "scanner" }, "EXTERNAL", "")).last, "535 5.7.8");
});

test("the source is told who asks from where", async () => {
  let context: unknown = null;
  const source = {
    verify: async (_name: string, _password: string, asked: unknown) => {
      context = asked;
      return { kind: "verified", identity: "anna" } as const;
    },
    account: () => null,
    close: () => {},
  };
  assert.equal((await exchange(authenticator({ credentials: source }), {}, "PLAIN", "\0anna\0x")).last, "anna");
  assert.deepEqual(context, {
    session: "s1",
    address: "192.0.2.1",
    port: 1,
    localAddress: "192.0.2.25",
    localPort: 587,
  });
});

test("what has counted failures before counts on when the rules of logins change", async () => {
  const throttle = new AuthThrottle(time.clock, { firstDelay: 0, perAddress: 2 });
  const guess = async () => (await exchange(authenticator({ throttle }), {}, "PLAIN", "\0nobody\0guess")).last;
  assert.deepEqual([await guess(), await guess()], ["535 5.7.8", "535 5.7.8"]);
  assert.match((await guess()) ?? "", /^454/);
});
