import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { SECOND } from "../base/index.ts";
import {
  type Account,
  type CredentialSource,
  identityOf,
  type LoginContext,
  type Verification,
} from "../intake/index.ts";
import { parseCheckAnswer } from "./http-answer.ts";

export interface HttpSourceOptions {
  /** Where to ask; `http:` for a service on this machine alone. */
  readonly url: string;
  /** The authorities trusted now, PEM; none: the system's. */
  ca(): readonly string[];
  /** For a whole answer, milliseconds; default 10 s. */
  readonly timeout?: number;
}

const TIMEOUT = 10 * SECOND;
/** Questions at once; beyond it the client is told to come later. */
const CONCURRENCY = 50;
/** Octets of an answer. */
const ANSWER_LIMIT = 64 * 1024;
/** Who logged in and is remembered; the one unused the longest goes first. */
const MAX_ACCOUNTS = 100_000;

/**
 * Asks a web service of the operator's: a POST of JSON, `{"user", "password", "address", "service": "smtp"}`. 200 is yes, 401 and
 * 403 are no, all else is trouble for now. A yes may tell, as JSON, `identity` (default: the user asked about), `addresses` (what it may
 * send as, in place of what the name gives) and `limits` (as in `[submission.limits]`). They count until the next login.
 */
export function createHttpSource(options: HttpSourceOptions): CredentialSource {
  return new HttpSource(options);
}

class HttpSource implements CredentialSource {
  readonly #options: HttpSourceOptions;
  readonly #accounts = new Map<string, Account>();
  readonly #closing = new AbortController();
  #running = 0;

  constructor(options: HttpSourceOptions) {
    this.#options = options;
  }

  async verify(name: string, password: string, context: LoginContext): Promise<Verification> {
    const user = identityOf(name);
    if (user === null) return { kind: "refused" };
    if (this.#running >= CONCURRENCY) return { kind: "busy" };
    this.#running++;
    try {
      const { status, body } = await this.#post({ user: name, password, address: context.address, service: "smtp" });
      if (status === 401 || status === 403) return { kind: "refused" };
      if (status !== 200) throw new Error(`the check of passwords at ${this.#options.url} answered ${status}`);
      const answer = parseCheckAnswer(body, user);
      if (!answer.ok) throw new Error(`the check of passwords at ${this.#options.url}: ${answer.error}`);
      const { identity, account } = answer.value;
      this.#remember(identity, account);
      return { kind: "verified", identity };
    } finally {
      this.#running--;
    }
  }

  account(identity: string): Account | null {
    const account = this.#accounts.get(identity);
    if (account !== undefined) this.#remember(identity, account);
    return account ?? null;
  }

  close(): void {
    this.#closing.abort();
    this.#accounts.clear();
  }

  #remember(identity: string, account: Account): void {
    this.#accounts.delete(identity);
    this.#accounts.set(identity, account);
    if (this.#accounts.size <= MAX_ACCOUNTS) return;
    const oldest = this.#accounts.keys().next();
    if (!oldest.done) this.#accounts.delete(oldest.value);
  }

  #post(question: Readonly<Record<string, string>>): Promise<{ readonly status: number; readonly body: string }> {
    const { url, timeout = TIMEOUT } = this.#options;
    const ca = this.#options.ca();
    const content = Buffer.from(JSON.stringify(question), "utf8");
    const headers = {
      "content-type": "application/json",
      "content-length": content.length,
      accept: "application/json",
    };
    const signal = AbortSignal.any([AbortSignal.timeout(timeout), this.#closing.signal]);
    const settings = { method: "POST", headers, signal, ...(ca.length === 0 ? {} : { ca: [...ca] }) };
    return new Promise((resolve, reject) => {
      // The cause may quote what was sent; only its message goes on.
      const fail = (cause: Error): void => {
        const reason = signal.aborted ? "no answer in time" : cause.message;
        reject(new Error(`the check of passwords at ${url} failed: ${reason}`));
      };
      const asked = (url.startsWith("https:") ? requestHttps : requestHttp)(url, settings, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > ANSWER_LIMIT) asked.destroy(new Error("the answer is too long"));
          else chunks.push(chunk);
        });
        response.on("error", fail);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
        );
      });
      asked.on("error", fail);
      asked.end(content);
    });
  }
}
