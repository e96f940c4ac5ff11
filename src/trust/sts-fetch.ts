import { type Duration, decodeUtf8, err, MINUTE, printable, type Result } from "../base/index.ts";
import { type HttpsOptions, type HttpsProblem, type HttpsResponse, httpsRequest } from "../net/index.ts";
import type { StsFailure } from "./model.ts";
import type { StsFetch } from "./sts-policies.ts";
import { parseStsPolicy, type ServedPolicy } from "./sts-policy.ts";

export interface StsFetchOptions extends HttpsOptions {
  /** Default 443; another only where an operator's own network says so. */
  readonly port?: number;
  /** For all of one fetch, milliseconds (default: a minute, RFC 8461 §3.3). */
  readonly timeout?: Duration;
}

/** RFC 8461 §3.2. */
export const STS_PATH = "/.well-known/mta-sts.txt";
/** RFC 8461 §3.3: 64 kilobytes. */
const MAX_POLICY = 64 * 1024;

/** Fetches policies from the policy hosts of domains (RFC 8461 §3.3). */
export function createStsFetch(options: StsFetchOptions): StsFetch {
  return async (domain, signal) => {
    const answer = await httpsRequest(options, {
      host: `mta-sts.${domain}`,
      port: options.port ?? 443,
      method: "GET",
      path: STS_PATH,
      headers: { accept: "text/plain" },
      body: null,
      bodyLimit: MAX_POLICY,
      timeout: options.timeout ?? MINUTE,
      signal,
    });
    return answer.ok ? readPolicy(answer.value) : err(fetchFailure(answer.error));
  };
}

function readPolicy({ status, mediaType, body }: HttpsResponse): Result<ServedPolicy, StsFailure> {
  // RFC 8461 §3.3: 200 alone will do, and redirects MUST NOT be followed.
  if (status !== 200) return err({ type: "sts-policy-fetch-error", detail: `the policy host answered with ${status}` });
  // RFC 8461 §3.2: a guard against hosts where anybody may put a page.
  if (mediaType !== "text/plain")
    return invalid(`the policy is not text/plain but ${printable(mediaType || "untold", 80)}`);
  const text = decodeUtf8(body);
  if (text === null) return invalid("the policy is not UTF-8");
  const policy = parseStsPolicy(text);
  return policy.ok ? policy : invalid(policy.error);
}

function invalid(detail: string): Result<never, StsFailure> {
  return err({ type: "sts-policy-invalid", detail });
}

/** RFC 8460 §4.3.2.2 and §4.3.2.3. */
function fetchFailure({ kind, detail }: HttpsProblem): StsFailure {
  const type =
    kind === "certificate"
      ? "sts-webpki-invalid"
      : kind === "tooLarge"
        ? "sts-policy-invalid"
        : "sts-policy-fetch-error";
  return { type, detail: printable(detail) };
}
