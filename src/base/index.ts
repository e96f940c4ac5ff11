/**
 * Building blocks without a word of mail in them: results, brands, bytes, and time, chance and logs as interfaces.
 * Nothing here may import anything, `node:*` included. Begin with `result.ts`.
 */
export * from "./assert.ts";
export * from "./brand.ts";
export * from "./bytes.ts";
export * from "./clock.ts";
export * from "./gathered-bytes.ts";
export * from "./log.ts";
export * from "./random.ts";
export * from "./result.ts";
export * from "./text.ts";
export * from "./thrown.ts";
