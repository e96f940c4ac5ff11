/**
 * Node's sockets, TLS and DNS behind small interfaces. Only here is Node asked for them, and only `problem.ts` reads its error
 * codes. Nothing here knows SMTP. Begin with `stream.ts`.
 */
export { addressGroup } from "./address-group.ts";
export * from "./certificate.ts";
export { type ChainCertificate, certificateChain } from "./certificate-chain.ts";
export { type ChannelBindingType, channelBinding } from "./channel-binding.ts";
export * from "./clock.ts";
export * from "./connect.ts";
export { usableTlsa } from "./dane-match.ts";
export { createResolver, type ResolverOptions } from "./dns.ts";
export * from "./https.ts";
export { reverseName } from "./ip-address.ts";
export type { KnownPeer } from "./known-peer.ts";
export * from "./listen.ts";
export * from "./networks.ts";
export type { PeerDemand } from "./peer-demand.ts";
export { readCertificates } from "./pem.ts";
export * from "./proxied.ts";
export * from "./resolver.ts";
export * from "./stream.ts";
export { duplexOf } from "./stream-duplex.ts";
export * from "./tls-client.ts";
export { type KeyPair, ServerTls, type ServerTlsOptions, upgradeServer } from "./tls-server.ts";
export { createTlsSessions, type TlsSessions, type TlsSessionsOptions } from "./tls-sessions.ts";
