// What both services offer, and say, alike.
import type { Conversation, Offer } from "../server/index.ts";
import { REPLIES } from "./replies.ts";

/** Extensions whose promises the queue and delivery keep; the engine offers its own ones beside them. */
export const offeredExtensions: Offer["extensions"] = [["REQUIRETLS"], ["DSN"], ["DELIVERBY"], ["MT-PRIORITY"]];

/** The part of a conversation that answers VRFY: the engine's 252, or 502 where the operator wants no such command. */
export function verifier(vrfy: boolean): Pick<Conversation, "verify"> {
  return vrfy ? {} : { verify: () => REPLIES.vrfyOff };
}
