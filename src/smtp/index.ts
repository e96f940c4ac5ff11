/**
 * The language of SMTP: values and codecs for both directions, no I/O. Nothing here may know a socket, a clock or a queue.
 * Begin with `command.ts` and `reply.ts`, then `line-decoder.ts` and `data-decoder.ts` for how octets become them.
 */
export {
  type AddressProblem,
  type ForwardPath,
  formatMailbox,
  formatPath,
  isPostmaster,
  type Mailbox,
  needsSmtpUtf8,
  parseMailbox,
  type ReversePath,
  sameMailbox,
} from "./address.ts";
export * from "./address-literal.ts";
export * from "./bdat.ts";
export * from "./command.ts";
export * from "./data-decoder.ts";
export * from "./data-encoder.ts";
export * from "./domain.ts";
export * from "./extensions.ts";
export * from "./limits.ts";
export * from "./line-decoder.ts";
export { encodeUnitext } from "./original-recipient.ts";
export {
  formatMailParameters,
  formatRcptParameters,
  type MailParameters,
  type ParameterProblem,
  type RawParameter,
  type RcptParameters,
  readMailParameters,
  readRcptParameters,
} from "./parameters.ts";
export { describeReply, formatReply, type Reply, type ReplySeverity, reply, severity } from "./reply.ts";
export * from "./reply-decoder.ts";
export * from "./sasl/index.ts";
export * from "./status.ts";
export { XCLIENT_ATTRIBUTES, type XclientAttributes } from "./xclient.ts";
export * from "./xtext.ts";
