// A Dovecot of its own folder that does nothing but check passwords, run by the user who runs the tests.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Dovecot {
  /** Of its auth clients. */
  readonly socket: string;
  /** The same by TCP. */
  readonly port: number;
  stop(): Promise<void>;
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const READY_ATTEMPTS = 200;

/** `users` is name to password. */
export async function startDovecot(users: Readonly<Record<string, string>>, port: number): Promise<Dovecot> {
  // Short: the path of a socket may have 107 octets.
  const folder = await mkdtemp(join(tmpdir(), "dc-"));
  const socket = join(folder, "run", "auth-client");
  const passwords = Object.entries(users).map(([name, password]) => `${name}:{PLAIN}${password}::::::\n`);
  await writeFile(join(folder, "passwd"), passwords.join(""), { mode: 0o600 });
  await writeFile(join(folder, "dovecot.conf"), configuration(folder, port));
  let child: ChildProcess | null = null;
  const start = async (): Promise<void> => {
    const started = spawn("dovecot", ["-F", "-c", join(folder, "dovecot.conf")], { stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    let noise = "";
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        noise += text;
      });
    }
    for (let attempt = 0; attempt < READY_ATTEMPTS; attempt++) {
      if (started.exitCode !== null) throw new Error(`dovecot ended with ${started.exitCode}: ${noise}`);
      if (
        await stat(socket).then(
          () => true,
          () => false,
        )
      )
        return;
      await sleep(50);
    }
    throw new Error(`dovecot made no socket: ${noise}`);
  };
  const stop = async (): Promise<void> => {
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, "exit", { signal: AbortSignal.timeout(10_000) });
    child.kill("SIGTERM");
    await ended;
    await rm(socket, { force: true });
  };
  const dispose = async (): Promise<void> => {
    await stop().catch(() => void child?.kill("SIGKILL"));
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return { socket, port, start, stop, [Symbol.asyncDispose]: dispose };
}

function configuration(folder: string, port: number): string {
  const { username } = userInfo();
  return `
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
protocols =
listen = 127.0.0.1
ssl = no
default_internal_user = ${username}
default_login_user = ${username}
auth_mechanisms = plain login
auth_failure_delay = 0
disable_plaintext_auth = no
passdb {
  driver = passwd-file
  args = ${folder}/passwd
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  chroot =
  user = ${username}
  unix_listener auth-client {
    mode = 0600
  }
  inet_listener auth-inet {
    address = 127.0.0.1
    port = ${port}
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`;
}
