// How users log in, as a configuration says it.
import { readFileSync } from "node:fs";
import { type Clock, codeOf, err, type Log, messageOf, ok, type Result } from "../base/index.ts";
import type { AuthConfig, Config, OauthConfig } from "../config/index.ts";
import { type Authenticator, type AuthThrottle, type CredentialSource, createAuthenticator } from "../intake/index.ts";
import { readCertificates, systemClock } from "../net/index.ts";
import type { TokenOptions, Tokens } from "../oauth/index.ts";
import { trustedByDefault } from "./next-hops.ts";

type Oauth = typeof import("../oauth/index.ts");

/** Who checks tokens; null where none count. Each problem of the files is one line. */
export async function loadTokens({
  auth,
}: {
  readonly auth: AuthConfig;
}): Promise<Result<Tokens | null, readonly string[]>> {
  const { oauth } = auth;
  if (oauth === null) return ok(null);
  // Most have no tokens, and the library that checks them is as large as all else of a start.
  const { createTokens, readKeys } = await import("../oauth/index.ts");
  const problems: string[] = [];
  const extra = oauth.ca.flatMap((file) => {
    const read = readCertificates(readText("ca", file, problems) ?? "");
    if (read.ok) return read.value.map((certificate) => certificate.toString());
    if (problems.length === 0) problems.push(`[auth.oauth] ca: ${file}: ${read.error}`);
    return [];
  });
  const keys = keysOf(oauth, readKeys, problems);
  if (keys === null || problems.length > 0) return err(problems);
  const ca = extra.length === 0 ? null : [...trustedByDefault(), ...extra];
  return ok(createTokens({ ...oauth, keys, ca, clock: systemClock }));
}

type Keys = TokenOptions["keys"];

function keysOf({ keys }: OauthConfig, readKeys: Oauth["readKeys"], problems: string[]): Keys | null {
  if (keys.kind === "url") return keys;
  if (keys.kind === "file") {
    const { file } = keys;
    const text = readText("jwks_file", file, problems);
    if (text === null) return null;
    try {
      readKeys(text);
    } catch (cause) {
      problems.push(`[auth.oauth] jwks_file: ${file}: ${messageOf(cause)}`);
    }
    return { kind: "file", read: () => readFileSync(file, "utf8") };
  }
  const secret = readText("client_secret_file", keys.secretFile, problems)?.split(/\r?\n/)[0] ?? "";
  if (secret === "" && problems.length === 0) {
    problems.push(
      `[auth.oauth] client_secret_file: ${keys.secretFile} has an empty first line; write the secret there`,
    );
  }
  return { kind: "introspection", url: keys.url, clientId: keys.clientId, secret };
}

function readText(key: string, file: string, problems: string[]): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const reason = codeOf(cause);
    problems.push(`[auth.oauth] ${key}: ${file} cannot be read (${reason}); name a file that this user may read`);
    return null;
  }
}

export interface AuthenticatorParts {
  readonly credentials: CredentialSource;
  readonly tokens: Tokens | null;
  readonly throttle: AuthThrottle;
  readonly clock: Clock;
  readonly log: Log;
}

/** Checks users for the submission service. */
export function configuredAuthenticator(
  { auth, peers }: Pick<Config, "auth" | "peers">,
  { credentials, tokens, throttle, clock, log }: AuthenticatorParts,
): Authenticator {
  const users = new Map(peers.flatMap(({ name, user }) => (user === null ? [] : [[name, user] as const])));
  return createAuthenticator({
    credentials,
    mechanisms: auth.mechanisms,
    ...(tokens === null ? {} : { tokens }),
    throttle,
    userOfPeer: (peer) => users.get(peer) ?? null,
    clock,
    log,
  });
}
