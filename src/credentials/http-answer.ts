import { z } from "zod";
import { err, ok, type Result } from "../base/index.ts";
import { type Account, identityOf, parseSenderGrant } from "../intake/index.ts";

const limit = z.int().min(0).optional();

const answer = z.object({
  identity: z.string().optional(),
  addresses: z.array(z.string()).max(1000).optional(),
  limits: z
    .strictObject({
      messages_per_minute: limit,
      messages_per_hour: limit,
      messages_per_day: limit,
      recipients_per_minute: limit,
      recipients_per_hour: limit,
      recipients_per_day: limit,
      new_recipients_per_day: limit,
      message_size: limit,
      sessions: limit,
    })
    .optional(),
});

/** Reads what a service says of a login that is right; `user` is who asked. A service that errs must not let anybody in. */
export function parseCheckAnswer(
  body: string,
  user: string,
): Result<{ readonly identity: string; readonly account: Account }, string> {
  if (body.trim() === "") return ok({ identity: user, account: { byName: true, grants: [], limits: {} } });
  let written: unknown;
  try {
    written = JSON.parse(body);
  } catch {
    return err("its answer is not JSON");
  }
  const parsed = answer.safeParse(written);
  if (!parsed.success) return err(`its answer is wrong at ${parsed.error.issues[0]?.path.join(".") || "the top"}`);
  const { identity: named = user, addresses, limits = {} } = parsed.data;
  const identity = identityOf(named);
  if (identity === null) return err("its identity can be no name");
  const grants = (addresses ?? []).map(parseSenderGrant);
  const bad = grants.find((grant) => !grant.ok);
  if (bad !== undefined && !bad.ok) return err(`of its addresses ${bad.error}`);
  const set = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
  const account: Account = {
    byName: addresses === undefined,
    grants: grants.flatMap((grant) => (grant.ok ? [grant.value] : [])),
    limits: set,
  };
  return ok({ identity, account });
}
