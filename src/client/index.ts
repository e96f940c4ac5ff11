/**
 * Calling other servers: SMTP and LMTP as a client, for delivery, for the command line, and for programs that send mail. Knows
 * nothing of queues and routes, nor of the server's side. Begin with `types.ts`, then `session.ts` and `transaction.ts`, which
 * are values only; `connection.ts` drives them over a stream.
 */

export { type Batch, mayBegin, takeBatch } from "./batch.ts";
export * from "./client.ts";
export type { ClientOptions } from "./dial.ts";
export { unsupported } from "./envelope.ts";
export type { Mail, MailProblem, MailRecipient, MailSource } from "./mail.ts";
export * from "./open-session.ts";
export * from "./pool.ts";
export * from "./timeouts.ts";
export * from "./types.ts";
