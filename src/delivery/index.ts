/**
 * Mail that is due, carried to where it goes: routes, mail exchangers, TLS policy, attempts, local mailboxes, and the reports on
 * what was given up. What is decided (`route`, `tls-policy`, `plan`, `outcome`) is pure; what is done (`attempt`, `local/`) is thin.
 * Nothing here may know how mail came in (`server`, `intake`) or when it is tried again (`queue`). Begin with `deliverer.ts`.
 */
export { createReporter, type ReporterOptions } from "./bounce.ts";
export { createDeliverer, type DelivererOptions, type RenewableDeliverer } from "./deliverer.ts";
export { createHostLoads, type HostLoads } from "./host-loads.ts";
export { mailboxPath } from "./local/mailbox-path.ts";
export { type HostLookup, lookUpExchangers, lookUpHost, type MailHost } from "./mx.ts";
export { clearTextRound } from "./plan.ts";
export {
  type LocalDelivery,
  type LocalDomain,
  type Route,
  type RouteRule,
  RouteTable,
  recipientTest,
  type TlsLevel,
  type Via,
} from "./route.ts";
export { selfTest } from "./self.ts";
export { nextHopOf, type Survey, type SurveyContext, survey } from "./survey.ts";
export type { RouteDemand } from "./tls-policy.ts";
export { formatTlsa } from "./tls-requirement.ts";
