/**
 * The language of SMTP: values and codecs for both directions, no I/O. Nothing here may know a socket, a clock or a queue.
 * Begin with `command.ts` and `reply.ts`, then `line-decoder.ts` and `data-codec.ts` for how octets become them.
 */
export * from "./address.ts";
export * from "./command.ts";
export * from "./data-codec.ts";
export * from "./extensions.ts";
export * from "./line-decoder.ts";
export * from "./parameters.ts";
export * from "./reply.ts";
export * from "./status.ts";
