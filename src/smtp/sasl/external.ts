import { EMPTY, encodeUtf8, err } from "../../base/index.ts";
import { readIdentity } from "./identity.ts";
import type { CertificateCredentials, SaslClient, SaslServer, SaslServerStep } from "./mechanism.ts";

const MALFORMED: SaslServerStep = { kind: "failed", reason: "malformed" };

/** EXTERNAL (RFC 4422 appendix A): one message, the authorization identity, empty where the server is to derive it. */
export function externalServer(): SaslServer {
  let ended = false;
  return {
    mechanism: "EXTERNAL",
    next(response) {
      if (ended) return MALFORMED;
      if (response === null) return { kind: "challenge", data: EMPTY };
      ended = true;
      if (response.length === 0) return { kind: "external", authzid: null };
      const authzid = readIdentity(response);
      return authzid === null ? MALFORMED : { kind: "external", authzid };
    },
  };
}

export function externalClient({ authzid = "" }: CertificateCredentials): SaslClient {
  return {
    mechanism: "EXTERNAL",
    initial: encodeUtf8(authzid),
    next: () => err("unexpectedChallenge"),
    complete: true,
  };
}
