import { isIP } from "node:net";
import { resolve } from "node:path";
import { err, ok, type Result } from "../base/index.ts";
import type { UserSource } from "./model.ts";
import { parseName, splitHostPort } from "./values.ts";

const DOVECOT = "dovecot:";

/** `users`, `dovecot:PATH`, `dovecot:HOST:PORT`, or a URL. The error is the end of a sentence. */
export function parseUserSource(written: string): Result<UserSource, string> {
  if (written === "users") return ok({ kind: "users" });
  if (written.startsWith(DOVECOT)) return parseDovecot(written.slice(DOVECOT.length));
  if (!URL.canParse(written)) return err(`${JSON.stringify(written.slice(0, 80))} is no source of users`);
  const url = new URL(written);
  if (url.username !== "" || url.password !== "") return err("an address with a password in it ends up in logs");
  if (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname))) {
    return ok({ kind: "http", url: url.href, ca: [] });
  }
  if (url.protocol === "http:") return err("passwords would go over the network in clear text; use https");
  return err(`${JSON.stringify(written.slice(0, 80))} is no source of users`);
}

/** With paths made absolute, and the authorities that stand beside it. */
export function sourceOf(source: UserSource, ca: readonly string[], folder: string): UserSource {
  if (source.kind === "http") return { ...source, ca: ca.map((file) => resolve(folder, file)) };
  if (source.kind !== "dovecot" || !("path" in source.at)) return source;
  return { kind: "dovecot", at: { path: resolve(folder, source.at.path) } };
}

/** What holds a `/` is a path, for no host does. */
function parseDovecot(written: string): Result<UserSource, string> {
  if (written.includes("\0") || written === "") return err("there is no socket behind dovecot:");
  if (written.includes("/")) return ok({ kind: "dovecot", at: { path: written } });
  const parts = splitHostPort(written, null);
  if (parts === null || parts.port === 0)
    return err(`${JSON.stringify(written)} is no path with a "/", and no HOST:PORT`);
  if (isIP(parts.host) !== 0) return ok({ kind: "dovecot", at: parts });
  const name = parseName(parts.host);
  return name.ok ? ok({ kind: "dovecot", at: { host: name.value, port: parts.port } }) : name;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || (isIP(host) === 4 && host.startsWith("127."));
}
