import { type Clock, type Duration, later, SECOND } from "../base/index.ts";
import type { CredentialSource } from "./credential-source.ts";
import { type Credentials, type CredentialsOptions, openCredentials } from "./credentials.ts";

/** How long one question waits for a file that somebody holds locked; then nothing is known, and the client is told to come again. */
const PATIENCE: Duration = 5 * SECOND;
/** Between two looks whether the lock is gone; one look is for all who wait. */
const LOOK_EVERY: Duration = 25;

export interface ServedCredentialsOptions extends Omit<CredentialsOptions, "clock" | "lockTimeout"> {
  readonly clock: Clock;
}

/**
 * As `openCredentials`, for a server: where another process has the users file locked (a backup, a command in the middle of its commit, a slow file
 * server) a question waits for it and nothing else does, because SQLite's own wait would stop the event loop and with it all sessions.
 */
export function openServedCredentials(path: string, options: ServedCredentialsOptions): CredentialSource {
  const credentials = openCredentials(path, { ...options, lockTimeout: 0 });
  const lock = new Lock(credentials, options.clock);
  return {
    verify: (name, password) => lock.patiently(() => credentials.verify(name, password)),
    scram: (name) => lock.patiently(() => credentials.scram(name)),
    account: (identity) => lock.patiently(() => credentials.account(identity)),
    close() {
      lock.close();
      credentials.close();
    },
  };
}

class Lock {
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  /** The look that all who wait are waiting for. */
  #look: Promise<void> | null = null;
  #closed = false;

  constructor(credentials: Credentials, clock: Clock) {
    this.#credentials = credentials;
    this.#clock = clock;
  }

  /** At once where nothing is locked. What `ask` throws else, or still throws after `PATIENCE`, is thrown. */
  patiently<T>(ask: () => T): T | Promise<Awaited<T>>;
  patiently<T>(ask: () => T | Promise<T>): T | Promise<T> {
    try {
      const answer = ask();
      return answer instanceof Promise ? answer.catch((error: unknown) => this.#again(ask, error)) : answer;
    } catch (error) {
      return this.#again(ask, error);
    }
  }

  close(): void {
    this.#closed = true;
  }

  async #again<T>(ask: () => T | Promise<T>, first: unknown): Promise<T> {
    const until = later(this.#clock.now(), PATIENCE);
    let thrown = first;
    while (isLocked(thrown) && !this.#closed && this.#clock.now() < until) {
      this.#look ??= this.#lookLater();
      await this.#look;
      try {
        return await ask();
      } catch (error) {
        thrown = error;
      }
    }
    throw thrown;
  }

  /** Resolves when the file can be read, or the longest wait is over. */
  async #lookLater(): Promise<void> {
    const until = later(this.#clock.now(), PATIENCE);
    do {
      await new Promise<void>((resolve) => void this.#clock.after(LOOK_EVERY, resolve));
    } while (!this.#closed && this.#isLockedNow() && this.#clock.now() < until);
    this.#look = null;
  }

  #isLockedNow(): boolean {
    try {
      this.#credentials.account("");
      return false;
    } catch (error) {
      return isLocked(error);
    }
  }
}

const SQLITE_BUSY = 5;

/** Whether another process has the file. The lower eight bits of an SQLite error are its kind. */
function isLocked(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : null;
  return code === SQLITE_BUSY || isLocked(error.cause);
}
