import { execFile } from "node:child_process";
import { havePostfix } from "./postfix.ts";

export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a mail program to its end with `input` on its standard input; 30 seconds at most. */
export function program(file: string, args: readonly string[], input = ""): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
    child.stdin?.on("error", () => {}).end(input);
  });
}

const PROBES: Record<string, readonly string[]> = {
  swaks: ["--version"],
  msmtp: ["--version"],
  python3: ["--version"],
  haproxy: ["-v"],
  openssl: ["version"],
  knotd: ["--version"],
  unbound: ["-V"],
  dig: ["-v"],
  curl: ["--version"],
  dovecot: ["--version"],
  gsasl: ["--version"],
  promtool: ["--version"],
};

/** What zones that are signed and validated take. */
const DNSSEC_PEERS = ["knotd", "unbound", "dig"];

/**
 * Options for `test` that leave a test out where its peer is not installed, and say so; where `POSTERN_INTEROP=required` is
 * set (in CI) nothing is left out, so that a missing peer fails.
 */
export async function needs(
  peer:
    | "swaks"
    | "msmtp"
    | "python3"
    | "haproxy"
    | "openssl"
    | "postfix"
    | "dnssec"
    | "curl"
    | "dovecot"
    | "gsasl"
    | "promtool",
): Promise<{ readonly skip: string | false }> {
  if (process.env.POSTERN_INTEROP === "required") return { skip: false };
  const there =
    peer === "postfix"
      ? await havePostfix()
      : (await Promise.all((peer === "dnssec" ? DNSSEC_PEERS : [peer]).map(runs))).every((each) => each);
  if (peer === "dnssec") return { skip: there ? false : `${DNSSEC_PEERS.join(", ")} are not all installed` };
  return { skip: there ? false : `${peer} is not installed` };
}

function runs(name: string): Promise<boolean> {
  return program(name, PROBES[name] ?? []).then(
    () => true,
    () => false,
  );
}
