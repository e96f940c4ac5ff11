// An issuer of OAuth tokens on loopback, over HTTPS: its keys, its tokens, its introspection.
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { makeCertificate } from "../src/testing/index.ts";

interface SigningKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly published: JWK;
}

export interface TokenIssuer {
  readonly issuer: string;
  readonly jwksUrl: string;
  readonly introspectionUrl: string;
  /** The certificate that its host is trusted by, PEM. */
  readonly ca: string;
  /** Requests so far, `METHOD PATH`. */
  readonly requests: string[];
  /** The keys published as text. */
  jwks(): string;
  /** Replaces its keys by a new one; tokens are signed with that from now on. */
  rotate(kid: string, algorithm?: string): Promise<void>;
  /** A token for `claims` that is good for an hour unless they say else. */
  token(claims?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, string>>): Promise<string>;
  /** How requests are answered from now on, in place of the truth; null: truly. */
  answer: {
    readonly status: number;
    readonly body: string;
    readonly headers?: Readonly<Record<string, string>>;
  } | null;
  /** What introspection says of a token. */
  readonly known: Map<string, Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}

/** Its client is `mx` with the secret `s3cret/:`. */
export async function startTokenIssuer(): Promise<TokenIssuer> {
  const pair = makeCertificate({ names: ["localhost"], ip: ["127.0.0.1"] });
  let key = await makeKey("first", "RS256");
  const known = new Map<string, Readonly<Record<string, unknown>>>();
  const requests: string[] = [];
  const server = createServer({ cert: pair.certificate, key: pair.privateKey }, async (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    let body = "";
    for await (const chunk of request) body += String(chunk);
    if (issuer.answer !== null) {
      response.writeHead(issuer.answer.status, issuer.answer.headers).end(issuer.answer.body);
      return;
    }
    if (request.url === "/keys") return void response.end(issuer.jwks());
    const basic = `Basic ${Buffer.from("mx:s3cret%2F%3A").toString("base64")}`;
    if (request.headers.authorization !== basic) return void response.writeHead(401).end();
    const said = known.get(new URLSearchParams(body).get("token") ?? "");
    response.end(JSON.stringify(said ?? { active: false }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const origin = `https://127.0.0.1:${port}`;
  const issuer: TokenIssuer = {
    issuer: origin,
    jwksUrl: `${origin}/keys`,
    introspectionUrl: `${origin}/introspect`,
    ca: pair.certificate,
    requests,
    known,
    answer: null,
    jwks: () => JSON.stringify({ keys: [key.published] }),
    async rotate(kid, algorithm = "RS256") {
      key = await makeKey(kid, algorithm);
    },
    token(claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1000);
      const all = { iss: origin, aud: "mail", iat: now, exp: now + 3600, email: "ada@here.test", ...claims };
      const filled = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
      return new SignJWT(filled)
        .setProtectedHeader({ alg: key.algorithm, kid: key.kid, ...header })
        .sign(key.privateKey);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return issuer;
}

async function makeKey(kid: string, algorithm: string): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const published = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: "sig" };
  return { kid, algorithm, privateKey, published };
}
