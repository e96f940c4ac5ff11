/*
 * Every size, line and count limit of the language, in octets unless said otherwise. RFC 5321 §4.5.3.1 gives the least that must
 * be taken; where more is taken here, the comment says why. A service may set lower or higher ones where a class takes a limit.
 */

/**
 * A local part as written. RFC 5321 §4.5.3.1.1 names 64, as the least that must be taken (§4.5.3.1): senders rewritten by SRS and
 * VERP are longer, and a server that refuses them loses forwarded mail and list mail. Any that leaves room in a path for `<`,
 * `@`, one octet of domain and `>` is taken.
 */
export const MAX_LOCAL_PART = 252;

/** A domain or address literal, RFC 5321 §4.5.3.1.2. */
export const MAX_DOMAIN = 255;

/** One label of a domain name, RFC 1035 §2.3.4. */
export const MAX_LABEL = 63;

/** A path with its angle brackets and any source route, RFC 5321 §4.5.3.1.3. */
export const MAX_PATH = 256;

/**
 * A command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512, and each extension adds to it (RFC 3461 §5.2.3: 500 for
 * ORCPT; RFC 4954 §5: 500 for AUTH=): 2,048 holds them all.
 */
export const MAX_COMMAND_LINE = 2048;

/** A line of an AUTH exchange with its CRLF, RFC 4954 §4. */
export const MAX_AUTH_LINE = 12288;

/**
 * A line of a message with its CRLF. RFC 5321 §4.5.3.1.6 asks for 1,000; programs that write much longer ones are common, and a
 * line that is taken is never split.
 */
export const MAX_TEXT_LINE = 65_536;

/** A reply line with its CRLF as we write it, RFC 5321 §4.5.3.1.5. */
export const MAX_REPLY_LINE_SENT = 512;

/** A reply line with its CRLF as we take it: hosts that explain a refusal at length pass 512. */
export const MAX_REPLY_LINE = 2048;

/** Lines of one reply that we take. */
export const MAX_REPLY_LINES = 128;

/** Octets of one whole reply that we take. */
export const MAX_REPLY = 32768;

/** An ENVID value as written, RFC 3461 §4.4. */
export const MAX_ENVID = 100;

/** An ORCPT value as written, RFC 3461 §4.2. */
export const MAX_ORCPT = 500;

/** An AUTH= value as written, RFC 4954 §5. */
export const MAX_AUTH_PARAMETER = 500;

/** The name of a SASL mechanism, RFC 4422 §3.1. */
export const MAX_MECHANISM = 20;

/** A name or a password inside a SASL message; RFC 4616 §2 asks that 255 be taken. */
export const MAX_SASL_FIELD = 1024;

/** A SASL message with a token in it: what a line of `MAX_AUTH_LINE` can hold in base64. Tokens of large directories have some 4,000. */
export const MAX_SASL_TOKEN_MESSAGE = 9216;

/** One nonce of a SCRAM exchange; RFC 5802 §5.1 names no limit. */
export const MAX_SCRAM_NONCE = 256;

/** The least SCRAM iterations that a client goes along with, RFC 7677 §4. */
export const MIN_SCRAM_ITERATIONS = 4096;

/** The most: a hostile server could otherwise make a client work for hours. */
export const MAX_SCRAM_ITERATIONS = 1_000_000;
