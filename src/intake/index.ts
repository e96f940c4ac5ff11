/**
 * Mail that is offered to us: who may hand it in (`relay.ts` for the MTA, `submission.ts` for the MSA, `credentials.ts` for users)
 * and how it is taken into the queue (`receive.ts`). Nothing here may deliver, connect or look at a socket. Begin with
 * `receive.ts`.
 */
export { AuthThrottle, type AuthThrottleRules, dividedThrottle } from "./auth-throttle.ts";
export { type Authenticator, type AuthenticatorOptions, createAuthenticator } from "./authenticator.ts";
export type {
  Account,
  CredentialSource,
  LoginContext,
  ScramLookup,
  SendingLimit,
  SendingLimits,
  Verification,
} from "./credential-source.ts";
export { type Credentials, type CredentialsOptions, openCredentials } from "./credentials.ts";
export { type FreeSpace, freeSpaceOf } from "./free-space.ts";
export { createHome, type Home } from "./home.ts";
export { inTurn } from "./in-turn.ts";
export type { DomainVerdict, MailDomains } from "./mail-domains.ts";
export { createPeers, type PeerLimits, type PeerRules, type Peers } from "./peers.ts";
export { identityOf } from "./prepared-strings.ts";
export { createReceiver, type ReceiveLimits, type Receiver, type ReceiverOptions } from "./receive.ts";
export { createRelayPolicy, type RelayPolicyOptions } from "./relay.ts";
export { parseSenderGrant } from "./sender-grant.ts";
export { type SenderGrant, type Senders, sendersByName, sendersOf } from "./senders.ts";
export { openSendingFile, type SendingFile } from "./sending-file.ts";
export { createSendingLimiter, type SendingLimiter } from "./sending-limits.ts";
export { openServedCredentials } from "./served-credentials.ts";
export { createSubmissionPolicy, type SubmissionPolicyOptions, type SubmissionRules } from "./submission.ts";
export type { TokenSource, TokenVerification } from "./token-source.ts";
export { Turnstile } from "./turnstile.ts";
export type { CredentialProblem, UserRegister, UserSummary } from "./user-register.ts";
