import { resolve } from "node:path";
import { z } from "zod";
import { err, ok, type Result } from "../base/index.ts";
import { SASL_MECHANISMS } from "../smtp/index.ts";
import { duration, path, text } from "./forms.ts";
import type { AuthConfig, OauthConfig } from "./model.ts";
import type { Finding } from "./problems.ts";
import { parseUserSource, sourceOf } from "./user-source.ts";
import { field, list } from "./written.ts";

const MAX_URL = 2000;

/** The text as it was written: an issuer is compared letter by letter (RFC 8414 §3.3). */
function parseHttpsUrl(written: string): Result<string, string> {
  const url = written.length <= MAX_URL && URL.canParse(written) ? new URL(written) : null;
  if (url === null || url.protocol !== "https:")
    return err(`${JSON.stringify(written.slice(0, 80))} is no https address`);
  if (url.username !== "" || url.password !== "") return err("an address with a password in it ends up in logs");
  return ok(written);
}

const httpsUrl = () => text('an address such as "https://id.example.org/keys"', parseHttpsUrl);

/** No HS256 and the like: with them whoever knows the issuer's public key could sign. No "none" either. */
const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
] as const;

const oauth = z
  .strictObject({
    issuer: httpsUrl().describe("Who issues the tokens: the `iss` of each, letter by letter."),
    audience: z
      .string()
      .min(1)
      .max(255)
      .describe("Whom tokens must be meant for (`aud`), so that one that another service got opens nothing here."),
    jwks_url: httpsUrl()
      .optional()
      .describe("Where the issuer publishes its keys (`jwks_uri` of its metadata); fetched when needed, over HTTPS."),
    jwks_file: path('the path of a JSON file, such as "oauth-keys.json"')
      .optional()
      .describe("A file with the issuer's keys (RFC 7517 §5), in place of `jwks_url`. Read anew by itself."),
    introspection_url: httpsUrl()
      .optional()
      .describe("Ask the issuer about each token here (RFC 7662), in place of checking it by keys."),
    client_id: z.string().min(1).max(255).optional().describe("Our name at `introspection_url`."),
    client_secret_file: path('the path of a file, such as "oauth-secret"')
      .optional()
      .describe("A file whose first line is our secret at `introspection_url`. Read anew on SIGHUP."),
    user_claim: z
      .string()
      .regex(/^[A-Za-z0-9_.:/-]{1,100}$/)
      .prefault("email")
      .meta({ accepted: 'the name of a claim such as "email", "preferred_username" or "sub"' })
      .describe(
        "The claim that names the user. There must be a user of that name (`postern user list`). An `email` that the issuer calls " +
          "unverified is nobody's.",
      ),
    algorithms: z
      .array(z.enum(ALGORITHMS))
      .min(1)
      .prefault(["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
      .describe("How tokens may be signed. Those with a shared key are never taken."),
    scope: z
      .string()
      .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/)
      .optional()
      .meta({ accepted: 'a scope such as "smtp"' })
      .describe("A scope that tokens must have. Clients are told of it."),
    clock_skew: duration().prefault("30s").describe("How far the issuer's clock may be from ours."),
    key_lifetime: duration()
      .prefault("10m")
      .describe(
        "How long keys are used before they are fetched again; a token by an unknown key has them fetched at once, every 30 s at most. " +
          "While the issuer does not answer the old ones count for a day.",
      ),
    ca: z
      .array(path('the path of a PEM file, such as "tls/ca.pem"'))
      .prefault([])
      .describe(
        "Certificate authorities that the issuer's host is trusted by besides the system's, PEM. Read anew on SIGHUP.",
      ),
  })
  .describe("Tokens of OAuth 2.0 (OAUTHBEARER of RFC 7628, and XOAUTH2). Without this table they are not offered.");

/** `[auth]`: how users log in. */
export const auth = z
  .strictObject({
    mechanisms: z
      .array(z.enum(SASL_MECHANISMS))
      .min(1)
      .prefault([...SASL_MECHANISMS])
      .describe(
        "What users may log in by. Offered is what can work for the client: EXTERNAL where its certificate is that of a `[[peer]]` with " +
          "`user`, OAUTHBEARER and XOAUTH2 with `[auth.oauth]`, the others where there are passwords for them.",
      ),
    source: text('"users", "dovecot:PATH", "dovecot:HOST:PORT" or a URL with https', parseUserSource)
      .prefault("users")
      .describe(
        "Who knows names and passwords. `users`: the file that `postern user` changes. `dovecot:`: a Dovecot, at its auth socket (`unix_listener`, or " +
          "`inet_listener` on a trusted network). A URL: a web service that gets each login as JSON and answers 200, 401 or 403; `http` only on " +
          "this machine. With the last two there is no SCRAM. See docs/security.md.",
      ),
    source_ca: z
      .array(path('the path of a PEM file, such as "tls/ca.pem"'))
      .prefault([])
      .describe(
        "Certificate authorities that the web service of `source` is trusted by, in place of the system's, PEM. Read anew on SIGHUP.",
      ),
    oauth: oauth.optional(),
  })
  .describe("How users of `submission` log in.");

export function authOf(settings: z.output<typeof auth>, folder: string): AuthConfig {
  const { mechanisms, source, source_ca, oauth: given } = settings;
  return {
    mechanisms,
    source: sourceOf(source, source_ca, folder),
    oauth: given === undefined ? null : oauthOf(given, folder),
  };
}

function oauthOf(given: z.output<typeof oauth>, folder: string): OauthConfig {
  const { jwks_url, jwks_file, introspection_url, client_id = "", client_secret_file = "" } = given;
  const keys: OauthConfig["keys"] =
    introspection_url !== undefined
      ? {
          kind: "introspection",
          url: introspection_url,
          clientId: client_id,
          secretFile: resolve(folder, client_secret_file),
        }
      : jwks_url !== undefined
        ? { kind: "url", url: jwks_url }
        : { kind: "file", file: resolve(folder, jwks_file ?? "") };
  return {
    issuer: given.issuer,
    audience: given.audience,
    keys,
    userClaim: given.user_claim,
    algorithms: given.algorithms,
    scope: given.scope ?? null,
    clockSkew: given.clock_skew,
    keyLifetime: given.key_lifetime,
    ca: given.ca.map((file) => resolve(folder, file)),
  };
}

const WAYS = ["jwks_url", "jwks_file", "introspection_url"] as const;

/** What of `[auth]` contradicts or misses another. */
export function authFindings(written: unknown): readonly Finding[] {
  return [...mechanismFindings(written), ...oauthFindings(written)];
}

/** A list of mechanisms of which none can ever be offered keeps every user out, and clients only say that they cannot log in. */
function mechanismFindings(written: unknown): readonly Finding[] {
  const table = field(written, "auth");
  const wanted = list(table, "mechanisms");
  const isServed = list(written, "listener").some((listener) => field(listener, "service") === "submission");
  if (wanted.length === 0 || !isServed || wanted.some((mechanism) => canWork(mechanism, written))) return [];
  const problem = "nobody could log in by any of these as the rest is configured";
  const remedy =
    "SCRAM needs the users file, EXTERNAL a [[peer]] with user, the others of OAuth [auth.oauth]; or add PLAIN";
  return [{ path: ["auth", "mechanisms"], problem, remedy }];
}

/** What is no mechanism is another finding. */
function canWork(mechanism: unknown, written: unknown): boolean {
  const table = field(written, "auth");
  switch (mechanism) {
    case "SCRAM-SHA-256":
    case "SCRAM-SHA-256-PLUS":
      return (field(table, "source") ?? "users") === "users";
    case "OAUTHBEARER":
    case "XOAUTH2":
      return field(table, "oauth") !== undefined;
    case "EXTERNAL":
      return list(written, "peer").some((peer) => field(peer, "user") !== undefined);
    default:
      return true;
  }
}

/** One way to check tokens, and all that it needs. */
function oauthFindings(written: unknown): readonly Finding[] {
  const given = field(field(written, "auth"), "oauth");
  if (given === undefined) return [];
  const has = (key: string): boolean => field(given, key) !== undefined;
  const at = (...keys: readonly string[]) => ["auth", "oauth", ...keys];
  const [way, second] = WAYS.filter(has);
  if (way === undefined) {
    const remedy = "add jwks_url, jwks_file or introspection_url";
    return [{ path: at(), problem: "there is nothing to check tokens by", remedy }];
  }
  if (second !== undefined) {
    return [{ path: at(second), problem: `stands beside ${way}`, remedy: "keep one of the two" }];
  }
  return ["client_id", "client_secret_file"].flatMap((key) => {
    if (way === "introspection_url") {
      if (has(key)) return [];
      return [{ path: at(way), problem: `is asked by nobody known: there is no ${key}`, remedy: `add ${key}` }];
    }
    if (!has(key)) return [];
    return [{ path: at(key), problem: "is for introspection_url only", remedy: "remove it" }];
  });
}
