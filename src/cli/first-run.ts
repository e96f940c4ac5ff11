import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { err, messageOf, ok, type Result } from "../base/index.ts";
import { type Config, formatConfigProblem, loadConfig, parseConfig } from "../config/index.ts";
import { openUsers, writeSelfSignedCertificate } from "../daemon/index.ts";

/** Who can log in after a first run. */
export const FIRST_USER = "demo@localhost";

const CERTIFICATE = "data/tls/cert.pem";
const PRIVATE_KEY = "data/tls/key.pem";

const FIRST_CONFIG = `# Postern's configuration, made by the first start. All settings: docs/config.md, or 'postern config reference'.
# After a change: 'postern check', then stop and start.

hostname = "localhost"                # the name in the greeting, in EHLO and in trace fields
data_dir = "data"                     # queue and users; paths are relative to this file

[[listener]]                          # mail from other servers
address = "127.0.0.1:2525"
service = "mx"
tls = "starttls"

[[listener]]                          # mail from users, who log in
address = "127.0.0.1:2587"
service = "submission"
tls = "starttls"

[[listener]]                          # the same, with TLS from the start
address = "127.0.0.1:2465"
service = "submission"
tls = "implicit"

[tls]                                 # self-signed; put real ones here and send SIGHUP
certificate = "${CERTIFICATE}"
private_key = "${PRIVATE_KEY}"

[[domain]]                            # mail that ends here
name = "localhost"
deliver = "maildir:data/mail/{user}"
recipients = ["${FIRST_USER.slice(0, FIRST_USER.indexOf("@"))}"]                 # who has a mailbox; "*" is everybody

# [[route]]                           # mail for elsewhere goes by MX unless a route says otherwise
# match = "*"
# via = "smtp://smarthost.example.net:587"
# tls = "verified"
`;

/** What a start found or made. */
export interface FirstRun {
  readonly config: Config;
  /** The first user's password where this run made it, else null. */
  readonly password: string | null;
  /** The file with the first user's password, null when it is gone or was never made here. */
  readonly passwordFile: string | null;
  /** The self-signed certificate in use, null when the configuration names another. */
  readonly certificate: string | null;
}

/**
 * Makes what is missing of configuration, data folder, self-signed certificate and first user, and loads the configuration. What
 * is there already is never touched: a configuration that exists gets no user and no certificate.
 */
export async function prepare(file: string): Promise<Result<FirstRun, readonly string[]>> {
  const folder = dirname(file);
  const certificate = join(folder, CERTIFICATE);
  const passwordFile = join(folder, "data", "first-user.txt");
  let password: string | null = null;
  if (!existsSync(file)) {
    const trouble = notWritable(folder);
    if (trouble !== null) return err([trouble]);
    const first = parseConfig(FIRST_CONFIG, file);
    if (!first.ok) throw new Error(`the first configuration is not valid: ${first.error.map(formatConfigProblem)}`);
    mkdirSync(dirname(certificate), { recursive: true, mode: 0o700 });
    if (!existsSync(certificate)) {
      await writeSelfSignedCertificate(["localhost"], certificate, join(folder, PRIVATE_KEY));
    }
    password = await firstUser(first.value, passwordFile);
    // Last of all, so that a start that was interrupted begins again.
    writeFileSync(file, FIRST_CONFIG, { flag: "wx" });
  }
  const loaded = loadConfig(file);
  if (!loaded.ok) return err(loaded.error.map(formatConfigProblem));
  const config = loaded.value;
  return ok({
    config,
    password,
    passwordFile: existsSync(passwordFile) ? passwordFile : null,
    certificate: config.tls?.keyPairs[0].certificate === certificate ? certificate : null,
  });
}

/** Why nothing can be made in this folder, with what to do; it is made where there is none. */
function notWritable(folder: string): string | null {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK | constants.X_OK);
    return null;
  } catch (cause) {
    const reason = messageOf(cause);
    return `a first configuration cannot be made in ${folder}: ${reason}; name another file with --config, or make the folder writable`;
  }
}

/** The new user's password, null when there are users already. */
async function firstUser(config: Config, passwordFile: string): Promise<string | null> {
  const users = openUsers(config);
  if ((await users.list()).length > 0) return null;
  const password = randomBytes(12).toString("base64url");
  // Before the user, so that there is never a user whose password nobody knows.
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  const added = await users.add(FIRST_USER, password);
  if (!added.ok) throw new Error(`the first user cannot be made: ${added.error}`);
  return password;
}
