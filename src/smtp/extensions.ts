import type { Reply } from "./reply.ts";

/** EHLO keywords (upper case) with their parameters in order (RFC 5321 §4.1.1.1). A `Map`: the keys are a peer's text. */
export type Extensions = ReadonlyMap<string, readonly string[]>;

/** Reads the reply to EHLO; lines that are no ehlo-line are passed over. */
export declare function readExtensions(ehloReply: Reply): Extensions;
/** The lines that announce `extensions`, in order. */
export declare function formatExtensions(extensions: Extensions): readonly string[];
/** The announced maximum (RFC 1870 §4): octets, or null where none is announced or fixed (0). */
export declare function announcedSize(extensions: Extensions): number | null;
/** SASL mechanisms announced, upper case; also reads the old `AUTH=LOGIN` form. */
export declare function announcedMechanisms(extensions: Extensions): readonly string[];
