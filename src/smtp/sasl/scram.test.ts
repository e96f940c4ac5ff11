import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { test } from "node:test";
import { EMPTY, encodeUtf8, unwrap } from "../../base/index.ts";
import { createSaslClient, createSaslServer, decodeBase64, type SaslServerStep, type ScramCrypto } from "./index.ts";
import { deriveKeys } from "./scram-keys.ts";

/** The exchange of RFC 7677 §3. */
const CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST = `n,,n=user,r=${CLIENT_NONCE}`;
const SERVER_FIRST = `r=${CLIENT_NONCE}${SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const CLIENT_FINAL = `c=biws,r=${CLIENT_NONCE}${SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;
const SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

function cryptoWith(nonce: string): ScramCrypto {
  return {
    hash: (data) => createHash("sha256").update(data).digest(),
    hmac: (key, data) => createHmac("sha256", key).update(data).digest(),
    pbkdf2: (password, salt, iterations) => pbkdf2Sync(password, salt, iterations, 32, "sha256"),
    nonce: () => nonce,
  };
}

const clientCrypto = cryptoWith(CLIENT_NONCE);
const serverCrypto = cryptoWith(SERVER_NONCE);
const salt = decodeBase64("W22ZaJ0SNY7soEsUEjb6gQ==") ?? EMPTY;
const keys = deriveKeys(serverCrypto, "pencil", salt, 4096);

function server() {
  const options = { crypto: serverCrypto, decoySecret: encodeUtf8("secret"), decoyIterations: 4096 };
  const made = createSaslServer("SCRAM-SHA-256", options);
  assert.ok(made);
  return made;
}

function client(password = "pencil", authcid = "user", authzid?: string) {
  const credentials = authzid === undefined ? { authcid, password } : { authcid, password, authzid };
  const made = createSaslClient("SCRAM-SHA-256", credentials, clientCrypto);
  assert.ok(made);
  return made;
}

function challenge(step: SaslServerStep): string {
  assert.equal(step.kind, "challenge");
  return step.kind === "challenge" ? Buffer.from(step.data).toString() : "";
}

function supply(step: SaslServerStep, known = true): SaslServerStep {
  assert.equal(step.kind, "lookup");
  return step.kind === "lookup" ? step.supply(known ? keys : null) : step;
}

const text = (octets: Uint8Array | null) => Buffer.from(octets ?? EMPTY).toString();

test("the client plays RFC 7677 §3", () => {
  const exchange = client();
  assert.equal(text(exchange.initial), CLIENT_FIRST);
  assert.equal(text(unwrap(exchange.next(encodeUtf8(SERVER_FIRST)))), CLIENT_FINAL);
  assert.equal(exchange.complete, false);
  assert.deepEqual(unwrap(exchange.next(encodeUtf8(SERVER_FINAL))), EMPTY);
  assert.equal(exchange.complete, true);
  assert.deepEqual(exchange.next(EMPTY), { ok: false, error: "unexpectedChallenge" });
});

test("the server plays RFC 7677 §3, with and without an initial response", () => {
  for (const initial of [true, false]) {
    const exchange = server();
    if (!initial) assert.equal(challenge(exchange.next(null)), "");
    const lookup = exchange.next(encodeUtf8(CLIENT_FIRST));
    assert.equal(lookup.kind === "lookup" && lookup.authcid, "user");
    assert.equal(challenge(supply(lookup)), SERVER_FIRST);
    assert.equal(challenge(exchange.next(encodeUtf8(CLIENT_FINAL))), SERVER_FINAL);
    assert.deepEqual(exchange.next(EMPTY), { kind: "authenticated", authcid: "user", authzid: null });
    assert.deepEqual(exchange.next(EMPTY), { kind: "failed", reason: "malformed" });
  }
});

/** Plays a whole exchange of our two sides. */
function play(wanted: ReturnType<typeof client>, known: boolean): SaslServerStep {
  const exchange = server();
  const first = challenge(supply(exchange.next(wanted.initial), known));
  const step = exchange.next(unwrap(wanted.next(encodeUtf8(first))));
  if (step.kind !== "challenge") return step;
  return exchange.next(unwrap(wanted.next(step.data)));
}

test("names with commas, equals signs and an authorization identity go through", () => {
  assert.deepEqual(play(client("pencil", "a=b,c=2C", "boss,="), true), {
    kind: "authenticated",
    authcid: "a=b,c=2C",
    authzid: "boss,=",
  });
});

test("an unknown user and a wrong password fail alike, at the same step", () => {
  const failed = { kind: "failed", reason: "credentials" };
  assert.deepEqual(play(client("pencil"), false), failed);
  assert.deepEqual(play(client("pencils"), true), failed);
});

/** A final message with another nonce than the server's, and the proof that belongs to it. */
function withNonce(nonce: string): string {
  const { hash, hmac, pbkdf2 } = serverCrypto;
  const clientKey = hmac(pbkdf2(encodeUtf8("pencil"), salt, 4096), encodeUtf8("Client Key"));
  const withoutProof = `c=biws,r=${nonce}`;
  const signed = encodeUtf8(`${CLIENT_FIRST.slice("n,,".length)},${SERVER_FIRST},${withoutProof}`);
  const signature = hmac(hash(clientKey), signed);
  const proof = Buffer.from(clientKey.map((octet, at) => octet ^ (signature[at] ?? 0)));
  return `${withoutProof},p=${proof.toString("base64")}`;
}

test("the nonce must be the server's, whatever the proof is worth, RFC 5802 §5.1", () => {
  for (const [nonce, kind] of [
    [`${CLIENT_NONCE}${SERVER_NONCE}`, "challenge"],
    [`${CLIENT_NONCE}another`, "failed"],
  ] as const) {
    const exchange = server();
    supply(exchange.next(encodeUtf8(CLIENT_FIRST)));
    assert.equal(exchange.next(encodeUtf8(withNonce(nonce))).kind, kind);
  }
});

test("an unknown user fails even where the proof fits", () => {
  const zeros = new Uint8Array(32);
  const weak = { hash: () => zeros, hmac: () => zeros, nonce: () => SERVER_NONCE };
  const fitting = CLIENT_FINAL.replace(/p=.*/, `p=${Buffer.from(zeros).toString("base64")}`);
  for (const [known, kind] of [
    [true, "challenge"],
    [false, "failed"],
  ] as const) {
    const exchange = createSaslServer("SCRAM-SHA-256", { crypto: weak, decoySecret: zeros, decoyIterations: 4096 });
    assert.ok(exchange);
    const lookup = exchange.next(encodeUtf8(CLIENT_FIRST));
    assert.equal(lookup.kind, "lookup");
    const keysOfZeros = { salt: zeros, iterations: 4096, storedKey: zeros, serverKey: zeros };
    if (lookup.kind === "lookup") lookup.supply(known ? keysOfZeros : null);
    assert.equal(exchange.next(encodeUtf8(fitting)).kind, kind);
  }
});

test("an unknown user is shown the same salt each time, and another user another", () => {
  const shown = (user: string) => challenge(supply(server().next(encodeUtf8(`n,,n=${user},r=x`)), false));
  assert.equal(shown("ghost"), shown("ghost"));
  assert.notEqual(shown("ghost"), shown("ghost2"));
});

test("malformed first messages are refused", () => {
  const messages = [
    "",
    "n,,",
    "p=tls-unique,,n=user,r=x",
    "n,,m=x,n=user,r=x",
    "n,,n=,r=x",
    "n,,n=user,r=",
    "n,,n=us=er,r=x",
    "n,,n=us\ner,r=x",
    "n,a=,n=user,r=x",
    "n,,n=user",
    "x,,n=user,r=x",
    `n,,n=user,r=${"x".repeat(513)}`,
    `n,,n=${"u".repeat(1025)},r=x`,
  ];
  for (const message of messages) {
    assert.deepEqual(server().next(encodeUtf8(message)), { kind: "failed", reason: "malformed" }, message.slice(0, 40));
  }
  assert.deepEqual(server().next(Uint8Array.of(0xff, 0xfe)), { kind: "failed", reason: "malformed" });
});

test("final messages that are not this exchange's are refused", () => {
  const cases: readonly [string, "malformed" | "credentials"][] = [
    [CLIENT_FINAL.replace("c=biws", "c=eSws"), "malformed"], // "y,,": the header was changed on the way
    [CLIENT_FINAL.replace("c=biws", "c=biw"), "malformed"],
    [CLIENT_FINAL.replace("%hv", "%hw"), "credentials"],
    [CLIENT_FINAL.replace("dHzb", "dHzc"), "credentials"],
    [CLIENT_FINAL.replace(/,p=.*/, ",p="), "credentials"],
    [CLIENT_FINAL.replace(/,p=.*/, ""), "malformed"],
    [CLIENT_FINAL.replace(/p=.*/, "p=dHzb*"), "malformed"],
  ];
  for (const [final, reason] of cases) {
    const exchange = server();
    supply(exchange.next(encodeUtf8(CLIENT_FIRST)));
    assert.deepEqual(exchange.next(encodeUtf8(final)), { kind: "failed", reason }, final);
  }
});

test("a proof with octets too many is refused", () => {
  const exchange = server();
  supply(exchange.next(encodeUtf8(CLIENT_FIRST)));
  const longer = Buffer.concat([
    Buffer.from("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "base64"),
    Buffer.alloc(1),
  ]);
  const final = CLIENT_FINAL.replace(/p=.*/, `p=${longer.toString("base64")}`);
  assert.deepEqual(exchange.next(encodeUtf8(final)), { kind: "failed", reason: "credentials" });
});

test("a final message before the keys were supplied is refused", () => {
  const exchange = server();
  const lookup = exchange.next(encodeUtf8(CLIENT_FIRST));
  assert.deepEqual(exchange.next(encodeUtf8(CLIENT_FINAL)), { kind: "failed", reason: "malformed" });
  assert.deepEqual(supply(lookup), { kind: "failed", reason: "malformed" });
});

test("the client refuses a server that cheats", () => {
  const first = (message: string) => client().next(encodeUtf8(message));
  assert.deepEqual(first(SERVER_FIRST.replace("i=4096", "i=4095")), { ok: false, error: "badIterations" });
  assert.deepEqual(first(SERVER_FIRST.replace("i=4096", "i=1000001")), { ok: false, error: "badIterations" });
  assert.deepEqual(first(SERVER_FIRST.replace("r=r", "r=s")), { ok: false, error: "badChallenge" });
  assert.deepEqual(first(SERVER_FIRST.replace(SERVER_NONCE, "")), { ok: false, error: "badChallenge" });
  assert.deepEqual(first(SERVER_FIRST.replace("s=W22ZaJ0SNY7soEsUEjb6gQ==", "s=")), {
    ok: false,
    error: "badChallenge",
  });
  assert.deepEqual(first(`m=x,${SERVER_FIRST}`), { ok: false, error: "badChallenge" });
  for (const [final, error] of [
    [SERVER_FINAL.replace("v=6", "v=7"), "serverNotProved"],
    ["v=", "serverNotProved"],
    ["e=other-error", "serverRefused"],
    ["", "badChallenge"],
  ] as const) {
    const exchange = client();
    unwrap(exchange.next(encodeUtf8(SERVER_FIRST)));
    assert.deepEqual(exchange.next(encodeUtf8(final)), { ok: false, error });
    assert.equal(exchange.complete, false);
  }
});
