/**
 * Being called: an SMTP server as a library. `session.ts` is the protocol, a pure transition function over the values of
 * `state.ts`, with its verb table in `verbs.ts` and its words in `replies.ts`; `session-driver.ts` does what it says, in order,
 * `exchange.ts` has it spoken over a stream, `connection.ts` leads it through STARTTLS, `server.ts` listens and counts. What a service
 * decides stands behind the port in `policy.ts`. No queue, no file and no domain of ours may be known here, and nothing of `client/`. Begin with
 * `policy.ts`, then `session.ts`.
 */
export { inNetworks, type KnownPeer, ServerTls, type ServerTlsOptions } from "../net/index.ts";
export { defaultOffer, definePolicy, type PolicyParts } from "./define-policy.ts";
export { defaultLimits, type ServerLimits } from "./limits.ts";
export type * from "./policy.ts";
export {
  createServer,
  type ListenerOptions,
  type Server,
  type ServerOptions,
  type StartProblem,
} from "./server.ts";
export type { Service, TlsMode } from "./service.ts";
export type { ServiceTls, Upgrade } from "./upgrades.ts";
