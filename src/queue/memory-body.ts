import type { Body } from "./store.ts";

/** A body whose octets are all in memory. */
export function memoryBody(chunks: readonly Uint8Array[]): Body {
  let size = 0;
  for (const chunk of chunks) size += chunk.length;
  return { size, chunks: () => chunks };
}
