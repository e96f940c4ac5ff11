import type { NetProblem } from "./stream.ts";

/** Node's and libuv's error codes as the kinds the rest of the house knows. What is missing here is `other`. */
const kinds: ReadonlyMap<string, NetProblem["kind"]> = new Map([
  ["ECONNREFUSED", "refused"],
  ["EHOSTUNREACH", "unreachable"],
  ["ENETUNREACH", "unreachable"],
  ["EHOSTDOWN", "unreachable"],
  ["ENETDOWN", "unreachable"],
  ["EAFNOSUPPORT", "unreachable"],
  ["ETIMEDOUT", "timeout"],
  ["ECONNRESET", "reset"],
  ["EPIPE", "reset"],
  ["ECONNABORTED", "reset"],
  ["ERR_STREAM_PREMATURE_CLOSE", "reset"],
  ["ABORT_ERR", "aborted"],
  ["EADDRINUSE", "addressInUse"],
  ["EADDRNOTAVAIL", "addressUnavailable"],
  ["EINVAL", "addressUnavailable"],
  ["ENOTFOUND", "addressUnavailable"],
  ["EAI_AGAIN", "addressUnavailable"],
  ["EACCES", "permission"],
  ["EPERM", "permission"],
  ["EPROTO", "tls"],
]);

/** Reads an error of Node's sockets or of its TLS into a value. */
export function netProblem(error: unknown): NetProblem {
  if (!(error instanceof Error)) return { kind: "other", detail: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const kind = kinds.get(code) ?? (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") ? "tls" : "other");
  return { kind, detail: oneLine(error.message) };
}

/** OpenSSL's messages span lines and hold a pointer; logs want one line. */
function oneLine(message: string): string {
  return message.replace(/\s*[\r\n]+\s*/g, " ").trim();
}
