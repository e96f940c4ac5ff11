// The lines of Dovecot's authentication protocol, version 1 (doc.dovecot.org, "Authentication Protocol").
import { err, ok, type Result } from "../base/index.ts";

/** What a server says of one request. "temporary": it could not find out. */
export type DovecotAnswer =
  | { readonly kind: "ok"; readonly user: string }
  | { readonly kind: "refused" }
  | { readonly kind: "temporary"; readonly reason: string };

export type DovecotLine =
  | { readonly kind: "answer"; readonly id: number; readonly answer: DovecotAnswer }
  | { readonly kind: "mechanism"; readonly name: string }
  /** The handshake is over. */
  | { readonly kind: "done" }
  /** Means nothing to us. */
  | { readonly kind: "other" };

export interface DovecotRequest {
  readonly id: number;
  readonly name: string;
  readonly password: string;
  readonly session: string;
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\0", "0"],
  ["\u0001", "1"],
  ["\t", "t"],
  ["\r", "r"],
  ["\n", "n"],
]);
const UNESCAPES = new Map([...ESCAPES].map(([plain, sign]) => [sign, plain]));

/** A tab or line end within a value would be another parameter, or another command. */
export function escapeDovecot(text: string): string {
  return [...text].map((sign) => (ESCAPES.has(sign) ? `\u0001${ESCAPES.get(sign)}` : sign)).join("");
}

function unescapeDovecot(text: string): string {
  return text.replaceAll(/\u0001(.)/gs, (whole, sign: string) => UNESCAPES.get(sign) ?? whole);
}

/** What a client says first. */
export function formatHandshake(processId: number): string {
  return `VERSION\t1\t1\nCPID\t${processId}\n`;
}

/** `secured`: the password came by TLS. `resp` has to be the last parameter. */
export function formatRequest(request: DovecotRequest): string {
  const response = Buffer.from(`\0${request.name}\0${request.password}`, "utf8").toString("base64");
  const parameters = [
    ["service", "smtp"],
    ["session", request.session],
    ["lip", request.localAddress],
    ["rip", request.address],
    ["lport", String(request.localPort)],
    ["rport", String(request.port)],
  ].map(([key, value = ""]) => `${key}=${escapeDovecot(value)}`);
  return `${["AUTH", request.id, "PLAIN", ...parameters, "secured", `resp=${response}`].join("\t")}\n`;
}

/** The error is for the log: the server speaks another version, or what is not the protocol. */
export function parseDovecotLine(line: string): Result<DovecotLine, string> {
  const [command = "", first = "", ...rest] = line.split("\t");
  switch (command) {
    case "VERSION":
      return first === "1"
        ? ok({ kind: "other" })
        : err(`it speaks version ${first.slice(0, 10)} of the protocol, not 1`);
    case "MECH":
      return ok({ kind: "mechanism", name: first.toUpperCase() });
    case "DONE":
      return ok({ kind: "done" });
    case "OK":
    case "FAIL":
    case "CONT":
      return /^\d{1,10}$/.test(first)
        ? ok({ kind: "answer", id: Number(first), answer: answerOf(command, rest.map(unescapeDovecot)) })
        : err(`it answered ${command} without an id`);
    default:
      return ok({ kind: "other" });
  }
}

function answerOf(command: "OK" | "FAIL" | "CONT", parameters: readonly string[]): DovecotAnswer {
  const value = (key: string): string | undefined =>
    parameters.find((parameter) => parameter.startsWith(`${key}=`))?.slice(key.length + 1);
  if (command === "CONT") return { kind: "temporary", reason: "it asked for more than PLAIN has" };
  if (command === "FAIL") {
    const temporary = parameters.includes("temp") || value("code") === "temp_fail";
    return temporary
      ? { kind: "temporary", reason: value("reason") ?? "it could not look the user up" }
      : { kind: "refused" };
  }
  const user = value("user");
  if (user === undefined || user === "") return { kind: "temporary", reason: "it said OK and did not say to whom" };
  return parameters.includes("nologin") ? { kind: "refused" } : { kind: "ok", user };
}
