/** A request for a page: GET or HEAD, whose difference no page sees. */
export interface PageRequest {
  /** The name that was asked for, lower case, without a port or a trailing dot; an IPv6 address in its brackets. */
  readonly host: string;
  /** Percent-encoding as it came. */
  readonly path: string;
  readonly query: URLSearchParams;
}

export interface PageResponse {
  readonly status: number;
  /** With its charset. */
  readonly type: string;
  readonly body: string;
  /** How long others may keep it, seconds; 0: not at all. */
  readonly maxAge: number;
}

/** One path at the names it is served under. Pages for the same path at other names are other pages. */
export interface Page {
  /** Whether it is served at a name, as `PageRequest.host`. */
  serves(host: string): boolean;
  /** Exactly this path. */
  readonly path: string;
  /** Null: there is none at this name after all. Cheap; asked for each request. */
  respond(request: PageRequest): PageResponse | null | Promise<PageResponse | null>;
}

/** What came of a request line and its `Host`. */
export interface Asked {
  readonly method: string;
  /** The request target as sent. */
  readonly target: string;
  /** The `Host` field as sent; null where there was none. */
  readonly host: string | null;
}

/** An answer, and for 405 the methods that there are (RFC 9110 §15.5.6). */
export interface Answer extends PageResponse {
  readonly allow: string | null;
  /** What was understood of the request, for the log. */
  readonly request: PageRequest | null;
}

const METHODS = "GET, HEAD";

/** Finds the page of a request. What is no page here is 404, whatever the method was; other methods at a page are 405. */
export async function answerTo(pages: readonly Page[], asked: Asked): Promise<Answer> {
  const request = readRequest(asked);
  if (request === null) return plain(400, "Bad request", null);
  const page = pages.find(({ path, serves }) => path === request.path && serves(request.host));
  if (page === undefined) return plain(404, "Not found", request);
  if (asked.method !== "GET" && asked.method !== "HEAD") {
    return { ...plain(405, "Method not allowed", request), allow: METHODS };
  }
  const response = await page.respond(request);
  return response === null ? plain(404, "Not found", request) : { ...response, allow: null, request };
}

/** An answer in words, for people. */
export function plain(status: number, text: string, request: PageRequest | null): Answer {
  return { status, type: "text/plain; charset=utf-8", body: `${text}\r\n`, maxAge: 0, allow: null, request };
}

/** RFC 9112 §3.2: the target as a path, or whole as proxies are sent it, whose host then counts. Null for what is none of these. */
function readRequest({ target, host }: Asked): PageRequest | null {
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target);
  const name = hostName(absolute === null ? host : (absolute[1] ?? ""));
  const rest = absolute === null ? target : absolute[2] || "/";
  if (name === null || !rest.startsWith("/")) return null;
  const [path = "", ...query] = rest.split("?");
  return { host: name, path, query: new URLSearchParams(query.join("?")) };
}

/** `mta-sts.example.org` out of `MTA-STS.example.org.:443`, `[::1]` out of `[::1]:9469` (RFC 3986 §3.2.2). */
function hostName(field: string | null): string | null {
  const [, name] = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}?)\.?(?::\d{1,5})?$/.exec(field ?? "") ?? [];
  return name === undefined ? null : name.toLowerCase();
}
