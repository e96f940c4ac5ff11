/**
 * What tests of mail software need, ours and yours: streams without sockets, a clock that is told the time, certificates, DNS as
 * an object and as a server on loopback, a peer that plays a script, and whole worlds that fail as a seed says (`simulator/`).
 * Nothing here is used in production. Begin with `scripted-peer.ts` for clients, with `memory-stream.ts` for servers.
 */
export {
  type AuthorityOptions,
  type CertificateOptions,
  type KeyPair,
  makeAuthority,
  makeCertificate,
} from "../net/index.ts";
export * from "./dns-server.ts";
export type { DnsEntry, DnsFailure, DnsZone } from "./dns-zone.ts";
export * from "./fake-clock.ts";
export * from "./fake-resolver.ts";
export * from "./loopback.ts";
export * from "./memory-stream.ts";
export * from "./scripted-peer.ts";
export * from "./simulator/index.ts";
