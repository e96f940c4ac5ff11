import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, beforeEach, test } from "node:test";
import { startTokenIssuer } from "../../test/token-issuer.ts";
import { instant } from "../base/index.ts";
import { type FakeClock, fakeClock, makeCertificate } from "../testing/index.ts";
import { createTokens, type TokenOptions } from "./tokens.ts";

const issuer = await startTokenIssuer();
after(() => issuer.close());

let time: FakeClock;
beforeEach(async () => {
  time = fakeClock(instant(Date.now()));
  issuer.answer = null;
  issuer.known.clear();
  issuer.requests.length = 0;
  await issuer.rotate("first");
});

const make = (options: Partial<TokenOptions> = {}) =>
  createTokens({
    issuer: issuer.issuer,
    audience: "mail",
    keys: { kind: "url", url: issuer.jwksUrl },
    userClaim: "email",
    algorithms: ["RS256", "ES256"],
    scope: null,
    clockSkew: 30_000,
    keyLifetime: 600_000,
    ca: [issuer.ca],
    clock: time.clock,
    ...options,
  });

const VALID = { kind: "valid", identity: "ada@here.test" } as const;
const text = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const seconds = (): number => Math.floor(time.clock.now() / 1000);

async function reasonOf(token: string, options: Partial<TokenOptions> = {}): Promise<string> {
  const checked = await make(options).check(token);
  return checked.kind === "valid" ? "valid" : `${checked.kind}: ${checked.reason}`;
}

test("a token of the issuer for us names its user", async () => {
  const tokens = make();
  assert.deepEqual(await tokens.check(await issuer.token()), VALID);
  assert.deepEqual(await tokens.check(await issuer.token({ aud: ["other", "mail"] })), VALID);
  assert.equal(tokens.configuration, `${issuer.issuer}/.well-known/openid-configuration`);
  assert.deepEqual(issuer.requests, ["GET /keys"], "the keys are kept");
  const bySub = await make({ userClaim: "sub" }).check(await issuer.token({ sub: "ada" }));
  assert.deepEqual(bySub, { kind: "valid", identity: "ada" });
});

test("expired, not yet valid, endless, of another issuer, for somebody else (RFC 7519 §4.1)", async () => {
  assert.equal(await reasonOf(await issuer.token({ exp: seconds() - 31 })), "invalid: ERR_JWT_EXPIRED (exp)");
  assert.equal(await reasonOf(await issuer.token({ exp: seconds() - 29 })), "valid", "within the skew");
  assert.match(await reasonOf(await issuer.token({ nbf: seconds() + 60 })), /^invalid: .*\(nbf\)$/);
  assert.match(await reasonOf(await issuer.token({ exp: undefined })), /^invalid: .*\(exp\)$/);
  assert.match(await reasonOf(await issuer.token({ iss: `${issuer.issuer}/` })), /^invalid: .*\(iss\)$/);
  assert.match(await reasonOf(await issuer.token({ aud: "calendar" })), /^invalid: .*\(aud\)$/);
  assert.match(await reasonOf(await issuer.token({ aud: undefined })), /^invalid: .*\(aud\)$/);
});

test("only algorithms with a public key: not none, not the public key as a shared one (RFC 8725 §2.1)", async () => {
  const claims = text({ iss: issuer.issuer, aud: "mail", exp: seconds() + 600, email: "ada@here.test" });
  assert.equal(await reasonOf(`${text({ alg: "none" })}.${claims}.`), "invalid: ERR_JOSE_ALG_NOT_ALLOWED");
  for (const secret of [issuer.jwks(), JSON.parse(issuer.jwks()).keys[0].n]) {
    const signed = `${text({ alg: "HS256", kid: "first" })}.${claims}`;
    const mac = createHmac("sha256", secret).update(signed).digest("base64url");
    assert.equal(await reasonOf(`${signed}.${mac}`), "invalid: ERR_JOSE_ALG_NOT_ALLOWED");
  }
  await issuer.rotate("first", "PS256");
  assert.equal(await reasonOf(await issuer.token()), "invalid: ERR_JOSE_ALG_NOT_ALLOWED", "not in the list");
  await issuer.rotate("second", "ES256");
  assert.equal(await reasonOf(await issuer.token()), "valid");
});

test("another's signature under our issuer's key id, and what is no token", async () => {
  const other = await startTokenIssuer();
  const forged = await other.token({ iss: issuer.issuer });
  await other.close();
  assert.equal(await reasonOf(forged), "invalid: ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  const [header, , signature] = (await issuer.token()).split(".");
  const swapped = `${header}.${text({ iss: issuer.issuer, aud: "mail", exp: seconds() + 600, email: "eve@here.test" })}.${signature}`;
  assert.equal(await reasonOf(swapped), "invalid: ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  for (const token of ["", "x", "x.y.z", "a.b", `${text({ alg: "RS256" })}.e30.`, "....", "ya29.opaque-token"]) {
    assert.match(await reasonOf(token), /^invalid: /, token);
  }
  const embedded = await issuer.token({}, { kid: "unknown", jwk: "x", jku: "https://evil.test/" });
  assert.match(await reasonOf(embedded), /^invalid: /, "keys come from the issuer alone");
});

test("keys that changed are fetched at once for a token that needs them, and not more often than every 30 seconds", async () => {
  const tokens = make();
  assert.deepEqual(await tokens.check(await issuer.token()), VALID);
  time.advance(31_000);
  const old = await issuer.token();
  await issuer.rotate("second");
  assert.deepEqual(await tokens.check(await issuer.token()), VALID, "the new key");
  assert.equal(issuer.requests.length, 2);
  assert.equal((await tokens.check(old)).kind, "invalid", "the old key is gone");
  await Promise.all(Array.from({ length: 20 }, async () => tokens.check(await issuer.token({}, { kid: "made up" }))));
  assert.equal(issuer.requests.length, 2, "nobody makes us ask again and again");
  await issuer.rotate("third");
  assert.equal((await tokens.check(await issuer.token())).kind, "invalid", "too soon");
  time.advance(31_000);
  assert.deepEqual(await tokens.check(await issuer.token()), VALID);
});

test("keys age: they are fetched again, kept for a day while the issuer is away, and then nothing is known", async () => {
  const tokens = make();
  const token = await issuer.token({ exp: seconds() + 10 * 86_400 });
  assert.deepEqual(await tokens.check(token), VALID);
  time.advance(599_000);
  assert.deepEqual(await tokens.check(token), VALID);
  assert.equal(issuer.requests.length, 1);
  time.advance(2000);
  assert.deepEqual(await tokens.check(token), VALID);
  assert.equal(issuer.requests.length, 2);
  issuer.answer = { status: 503, body: "" };
  time.advance(23 * 3_600_000);
  assert.deepEqual(await tokens.check(token), VALID);
  time.advance(2 * 3_600_000);
  assert.equal((await tokens.check(token)).kind, "unavailable");
  issuer.answer = null;
  time.advance(31_000);
  assert.deepEqual(await tokens.check(token), VALID);
});

test("an issuer that does not answer, or not with keys, is no verdict on a token", async () => {
  const token = await issuer.token();
  for (const answer of [
    { status: 404, body: "" },
    { status: 200, body: "<html>" },
    { status: 200, body: "[]" },
    { status: 200, body: '{"keys":[7]}' },
    { status: 200, body: "x".repeat(300_000) },
    { status: 302, body: "", headers: { location: issuer.jwksUrl } },
  ]) {
    issuer.answer = answer;
    assert.match(await reasonOf(token), /^unavailable: /, `${answer.status} ${answer.body.slice(0, 10)}`);
  }
  issuer.answer = null;
  assert.match(
    await reasonOf(token, { ca: [makeCertificate({ names: ["localhost"] }).certificate] }),
    /^unavailable: /,
  );
  const nobody = { kind: "url", url: "https://127.0.0.1:1/keys" } as const;
  assert.match(await reasonOf(token, { keys: nobody }), /^unavailable: .*ECONNREFUSED/);
});

test("a scope that is demanded must be there, and an email be verified", async () => {
  const scope = "smtp";
  assert.equal(await reasonOf(await issuer.token({ scope: "openid smtp" }), { scope }), "valid");
  assert.equal(await reasonOf(await issuer.token({ scp: ["smtp"] }), { scope }), "valid");
  assert.match(await reasonOf(await issuer.token({ scope: "smtps" }), { scope }), /^insufficientScope: /);
  assert.match(await reasonOf(await issuer.token(), { scope }), /^insufficientScope: /);
  assert.match(await reasonOf(await issuer.token({ email_verified: false })), /^invalid: its email/);
  for (const email of [undefined, "", 7, ["ada@here.test"], null]) {
    assert.match(await reasonOf(await issuer.token({ email })), /^invalid: the claim email/);
  }
  assert.match(await reasonOf(await issuer.token(), { userClaim: "constructor" }), /^invalid: the claim/);
});

test("keys from a file, read anew when a token needs another", async () => {
  let file = issuer.jwks();
  const tokens = make({ keys: { kind: "file", read: () => file } });
  assert.deepEqual(await tokens.check(await issuer.token()), VALID);
  await issuer.rotate("second");
  file = issuer.jwks();
  time.advance(31_000);
  assert.deepEqual(await tokens.check(await issuer.token()), VALID);
  assert.deepEqual(issuer.requests, []);
});

const asking = (secret = "s3cret/:"): Partial<TokenOptions> => ({
  keys: { kind: "introspection", url: issuer.introspectionUrl, clientId: "mx", secret },
});

test("the issuer is asked about each token, and its word is held to what it says (RFC 7662 §2.2)", async () => {
  const said = (claims: Readonly<Record<string, unknown>>) => {
    issuer.known.set("opaque", { active: true, aud: "mail", email: "ada@here.test", ...claims });
    return reasonOf("opaque", asking());
  };
  assert.equal(await said({}), "valid");
  assert.equal(await said({ aud: ["x", "mail"], iss: issuer.issuer, exp: seconds() + 5 }), "valid");
  assert.match(await said({ active: false }), /^invalid/);
  assert.match(await said({ active: "true" }), /^unavailable/, "no introspection response");
  assert.match(await said({ aud: "calendar" }), /^invalid.*aud/);
  assert.match(await said({ iss: "https://other.test" }), /^invalid.*iss/);
  assert.match(await said({ exp: seconds() - 60 }), /^invalid.*exp/);
  assert.match(await said({ nbf: seconds() + 60 }), /^invalid.*nbf/);
  assert.match(await said({ email: undefined }), /^invalid/);
  assert.match(await reasonOf("unknown", asking()), /^invalid/);
  assert.ok(
    issuer.requests.every((request) => request === "POST /introspect"),
    "never in an address, which is logged",
  );
});

test("without an audience in the answer a scope has to say that the token is for mail", async () => {
  issuer.known.set("opaque", { active: true, email: "ada@here.test", scope: "smtp" });
  assert.match(await reasonOf("opaque", asking()), /^invalid.*aud/);
  assert.equal(await reasonOf("opaque", { ...asking(), scope: "smtp" }), "valid");
});

test("an issuer that does not know us, or answers nonsense, is no verdict on a token", async () => {
  issuer.known.set("opaque", { active: true, aud: "mail", email: "ada@here.test" });
  assert.match(await reasonOf("opaque", asking("wrong")), /^unavailable: .*401.*client_secret_file/);
  for (const body of ["", "null", "[]", "{}", "<html>"]) {
    issuer.answer = { status: 200, body };
    assert.match(await reasonOf("opaque", asking()), /^unavailable: /, body);
  }
});
