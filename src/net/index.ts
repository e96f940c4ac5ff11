/**
 * Node's sockets, TLS and DNS behind small interfaces. Only here is Node asked for them, and only here are its error codes read.
 * Nothing here knows SMTP. Begin with `stream.ts`.
 */
export * from "./connect.ts";
export * from "./listen.ts";
export * from "./resolver.ts";
export * from "./stream.ts";
export * from "./tls.ts";
