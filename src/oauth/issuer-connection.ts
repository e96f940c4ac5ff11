import { request } from "node:https";
import { SECOND } from "../base/index.ts";

export interface FetchRequest {
  /** https alone. */
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

export interface FetchAnswer {
  readonly status: number;
  readonly text: string;
}

/** Rejects, with one plain line that holds nothing of what was sent, where no whole answer came. */
export type Fetch = (asked: FetchRequest) => Promise<FetchAnswer>;

/** A client waits for its login behind this. */
const TIMEOUT = 5 * SECOND;
/** Octets of an answer; the keys of the largest issuers have some 10,000. */
const MAX_ANSWER = 256 * 1024;
const MAX_HEADERS = 16 * 1024;

/**
 * One HTTPS request to a host that the operator named: any address will do, also a private one. The certificate has to name the host;
 * no redirect is followed, so that keys come from where the configuration says and a secret goes nowhere else.
 */
export function httpsFetch(ca: readonly string[] | null): Fetch {
  return ({ url, method, headers, body }) =>
    new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => reject(new Error(`${url}: ${reasonOf(cause)}`, { cause }));
      const call = request(url, {
        method,
        headers: {
          accept: "application/json",
          "accept-encoding": "identity",
          connection: "close",
          ...headers,
          ...(body === null ? {} : { "content-length": String(Buffer.byteLength(body)) }),
        },
        agent: false,
        maxHeaderSize: MAX_HEADERS,
        minVersion: "TLSv1.2",
        signal: AbortSignal.timeout(TIMEOUT),
        ...(ca === null ? {} : { ca: [...ca] }),
      });
      call.on("error", fail);
      call.on("response", (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("error", fail);
        response.on("data", (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_ANSWER) response.destroy(new Error(`the answer has more than ${MAX_ANSWER} octets`));
          else chunks.push(chunk);
        });
        response.on("end", () => {
          if (!response.complete) fail(new Error("the answer was cut off"));
          else resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") });
        });
      });
      call.end(body ?? undefined);
    });
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === "TimeoutError" || cause.name === "AbortError") return `no whole answer within ${TIMEOUT} ms`;
  return cause.message;
}
