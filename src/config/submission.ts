import { z } from "zod";
import { domain } from "./forms.ts";
import { addressLimits, userLimits } from "./sending-limits.ts";

/** `[submission]`: what is asked of users' messages, and done to them. */
export const submission = z
  .strictObject({
    sender: z
      .enum(["enforce", "correct", "any"])
      .prefault("enforce")
      .describe(
        "Which addresses users may send as. `enforce`: their own, in the envelope, in From and in Sender; else 550 5.7.1. `correct`: their " +
          "own in the envelope; a message with another From gets a Sender that tells who sent it. `any`: every address.",
      ),
    qualify_domain: domain()
      .optional()
      .describe(
        "The domain put behind an address without one (`To: ann`) in a header field. None: that of the user's own address.",
      ),
    hide_client: z
      .boolean()
      .prefault(false)
      .describe("Leave the address and the name of users' machines out of the Received field. The log has them."),
    limits: userLimits.prefault({}),
    address_limits: addressLimits.prefault({}),
  })
  .describe("Mail from users: what they may send as, and how their messages are put right (RFC 6409).");
