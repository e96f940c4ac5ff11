import type { QueuedMessage } from "../model.ts";
import { queueIdNumber } from "../queue-id.ts";
import { type Body, StoreError } from "../store.ts";
import type { Channel } from "./channel.ts";
import type { Answers } from "./protocol.ts";

/** A body read chunk row by chunk row; one of them is in memory at a time. */
export function storedBody(channel: Channel, message: Pick<QueuedMessage, "id" | "size">): Body {
  return { size: message.size, chunks: () => readChunks(channel, message), release };
}

/** A chunk came out of the thread with a buffer of its own. */
function release(chunk: Uint8Array): void {
  if (chunk.buffer instanceof ArrayBuffer) chunk.buffer.transfer(0);
}

async function* readChunks(channel: Channel, message: Pick<QueuedMessage, "id" | "size">): AsyncGenerator<Uint8Array> {
  const number = queueIdNumber(message.id);
  let after: number | null = null;
  let octets = 0;
  while (octets < message.size) {
    const chunk: Answers["chunk"] = await channel.ask({ op: "chunk", message: number, after });
    if (chunk === null) throw new StoreError("broken", `the body of ${message.id} ends after ${octets} octets`);
    after = chunk.id;
    octets += chunk.octets.length;
    yield chunk.octets;
  }
}
