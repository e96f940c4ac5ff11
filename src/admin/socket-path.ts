import { createHash } from "node:crypto";
import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { err, ok, type Result } from "../base/index.ts";
import { type Config, controlSocketFile } from "../config/index.ts";

/** Octets of a unix socket's path that every system takes: macOS has 104 with the final NUL, Linux 108. */
const MAX_SOCKET_PATH = 103;

/**
 * Where the control socket is: in the data folder, or, where that path is too long for a socket, in a folder of this user's
 * own under the system's temporary folder. With `make` that folder is made; it is refused when it belongs to somebody else,
 * because others may write in the temporary folder too.
 */
export function socketPath(config: Pick<Config, "dataDir">, make: boolean): Result<string, string> {
  const usual = controlSocketFile(config);
  if (Buffer.byteLength(usual) <= MAX_SOCKET_PATH) return ok(usual);
  const digest = createHash("sha256").update(config.dataDir).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), `postern-${userInfo().uid}-${digest}`);
  if (make) mkdirSync(folder, { mode: 0o700, recursive: true });
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found !== undefined && (!found.isDirectory() || found.uid !== userInfo().uid || (found.mode & 0o077) !== 0)) {
    return err(`${folder} is not a private folder of this user; remove it, or choose a shorter data_dir`);
  }
  return ok(join(folder, "control.sock"));
}
