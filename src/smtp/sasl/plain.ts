import { EMPTY, encodeUtf8, err, ok } from "../../base/index.ts";
import { readIdentity, readPassword } from "./identity.ts";
import type { PasswordCredentials, SaslClient, SaslServer, SaslServerStep } from "./mechanism.ts";

const MALFORMED: SaslServerStep = { kind: "failed", reason: "malformed" };

/** PLAIN (RFC 4616): one message, `[authzid] NUL authcid NUL passwd`. */
export function plainServer(): SaslServer {
  let ended = false;
  return {
    mechanism: "PLAIN",
    next(response) {
      if (ended) return MALFORMED;
      if (response === null) return { kind: "challenge", data: EMPTY };
      ended = true;
      return readMessage(response);
    },
  };
}

function readMessage(message: Uint8Array): SaslServerStep {
  const first = message.indexOf(0);
  const second = first === -1 ? -1 : message.indexOf(0, first + 1);
  if (second === -1) return MALFORMED;
  const authzid = first === 0 ? null : readIdentity(message.subarray(0, first));
  const authcid = readIdentity(message.subarray(first + 1, second));
  const password = readPassword(message.subarray(second + 1));
  if ((first !== 0 && authzid === null) || authcid === null || password === null) return MALFORMED;
  return { kind: "password", authzid, authcid, password };
}

export function plainClient({ authzid = "", authcid, password }: PasswordCredentials): SaslClient {
  return {
    mechanism: "PLAIN",
    initial: encodeUtf8(`${authzid}\0${authcid}\0${password}`),
    next: () => err("unexpectedChallenge"),
    complete: true,
  };
}

const PROMPTS = { user: encodeUtf8("Username:"), password: encodeUtf8("Password:") };

/**
 * LOGIN (draft-murchison-sasl-login): user name and password, each asked for. The prompts are those that old clients compare with. An
 * initial response is the user name, as several clients send it.
 */
export function loginServer(): SaslServer {
  let authcid: string | null = null;
  let asked = false;
  let ended = false;
  return {
    mechanism: "LOGIN",
    next(response) {
      if (ended) return MALFORMED;
      if (response === null && !asked) {
        asked = true;
        return { kind: "challenge", data: PROMPTS.user };
      }
      if (authcid === null) {
        authcid = readIdentity(response ?? EMPTY);
        ended = authcid === null;
        return ended ? MALFORMED : { kind: "challenge", data: PROMPTS.password };
      }
      ended = true;
      const password = readPassword(response ?? EMPTY);
      return password === null ? MALFORMED : { kind: "password", authzid: null, authcid, password };
    },
  };
}

/** What the prompts say is not read: they differ from server to server, their order does not. */
export function loginClient({ authcid, password }: PasswordCredentials): SaslClient {
  const answers = [authcid, password];
  return {
    mechanism: "LOGIN",
    initial: null,
    next() {
      const answer = answers.shift();
      return answer === undefined ? err("unexpectedChallenge") : ok(encodeUtf8(answer));
    },
    get complete() {
      return answers.length === 0;
    },
  };
}
