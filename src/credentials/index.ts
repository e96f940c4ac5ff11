/**
 * Other sources of users than the file: servers that are asked whether a name and a password belong together. Each keeps intake's port
 * `CredentialSource`; nothing here may know of SMTP or SASL, nor keep a password longer than its check takes. Begin with
 * `http-source.ts`.
 */
export { createDovecotSource } from "./dovecot-source.ts";
export { createHttpSource } from "./http-source.ts";
