import type { Clock } from "../base/index.ts";
import { type CredentialSource, identityOf, type LoginContext, type Verification } from "../intake/index.ts";
import { type DovecotAddress, DovecotConnection } from "./dovecot-connection.ts";

/**
 * Asks Dovecot, by the protocol of its auth socket, with PLAIN: no SCRAM, for Dovecot tells nobody its keys. Who logs in sends by the
 * addresses of the name that Dovecot gives. Somebody who is removed there is not noticed before the next login.
 */
export function createDovecotSource({ at, clock }: { at: DovecotAddress; clock: Clock }): CredentialSource {
  return new DovecotSource(at, clock);
}

class DovecotSource implements CredentialSource {
  readonly #at: DovecotAddress;
  readonly #clock: Clock;
  #connection: DovecotConnection | null = null;

  constructor(at: DovecotAddress, clock: Clock) {
    this.#at = at;
    this.#clock = clock;
  }

  async verify(name: string, password: string, context: LoginContext): Promise<Verification> {
    // NUL parts what PLAIN says: a name with one in it could say more than a name.
    if (identityOf(name) === null || name.includes("\0") || password.includes("\0")) return { kind: "refused" };
    const reused = this.#connection !== null;
    const first = await this.#ask(name, password, context);
    // Dovecot may have been started anew since the last login: that is no trouble worth telling a user of.
    const answer =
      first !== "busy" && first.kind === "temporary" && reused && this.#connection?.broken === true
        ? await this.#ask(name, password, context)
        : first;
    if (answer === "busy") return { kind: "busy" };
    if (answer.kind === "refused") return { kind: "refused" };
    if (answer.kind === "temporary") throw new Error(`Dovecot at ${shown(this.#at)}: ${answer.reason}`);
    const identity = identityOf(answer.user);
    if (identity === null) throw new Error(`Dovecot at ${shown(this.#at)} named a user that can be none`);
    return { kind: "verified", identity };
  }

  account(identity: string) {
    return identityOf(identity) === identity ? { byName: true, grants: [], limits: {} } : null;
  }

  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  async #ask(name: string, password: string, context: LoginContext) {
    if (this.#connection === null || this.#connection.broken) {
      this.#connection = new DovecotConnection(this.#at, this.#clock);
    }
    return await this.#connection.ask({ name, password, ...context });
  }
}

function shown(at: DovecotAddress): string {
  return "path" in at ? at.path : `${at.host}:${at.port}`;
}
