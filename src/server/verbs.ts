import type { Verb } from "../smtp/index.ts";
import type { CommandPhase } from "./state.ts";

/** Where a verb may stand and what follows from it; read before the verb's own checks. */
export interface VerbRule {
  /** False: 502 5.5.1 wherever it stands. */
  readonly implemented: boolean;
  /** Phases that allow it; elsewhere 503 5.5.1 (RFC 5321 §4.1.4). */
  readonly phases: ReadonlySet<CommandPhase["name"]>;
  /** Allowed while a demanded TLS is still missing (RFC 3207 §4); after HELO nobody could know that there is STARTTLS. */
  readonly preTls: boolean;
  /** Must be the last of a pipelined group: its reply is not held back (RFC 2920 §3.1, §3.2). */
  readonly endsGroup: boolean;
  /** Leads to no mail: a peer may send only so many of these. */
  readonly junk: boolean;
}

const always: VerbRule["phases"] = new Set(["greeted", "idle", "transaction", "chunking"]);
const afterHello: VerbRule["phases"] = new Set(["idle", "transaction", "chunking"]);
const absent: VerbRule = { implemented: false, phases: always, preTls: false, endsGroup: true, junk: false };

export const verbs: Readonly<Record<Verb, VerbRule>> = {
  EHLO: { implemented: true, phases: always, preTls: true, endsGroup: true, junk: true },
  HELO: { implemented: true, phases: always, preTls: false, endsGroup: true, junk: true },
  LHLO: { implemented: true, phases: always, preTls: true, endsGroup: true, junk: true },
  STARTTLS: { implemented: true, phases: always, preTls: true, endsGroup: true, junk: false },
  AUTH: { implemented: true, phases: afterHello, preTls: false, endsGroup: true, junk: false },
  MAIL: { implemented: true, phases: afterHello, preTls: false, endsGroup: false, junk: false },
  RCPT: { implemented: true, phases: afterHello, preTls: false, endsGroup: false, junk: false },
  DATA: { implemented: true, phases: afterHello, preTls: false, endsGroup: true, junk: false },
  // Its phases are its own: see `onChunk`.
  BDAT: { implemented: true, phases: always, preTls: false, endsGroup: false, junk: false },
  RSET: { implemented: true, phases: always, preTls: true, endsGroup: false, junk: true },
  NOOP: { implemented: true, phases: always, preTls: true, endsGroup: true, junk: true },
  HELP: { implemented: true, phases: always, preTls: false, endsGroup: true, junk: true },
  QUIT: { implemented: true, phases: always, preTls: true, endsGroup: true, junk: false },
  VRFY: { implemented: true, phases: always, preTls: false, endsGroup: true, junk: true },
  XCLIENT: { implemented: true, phases: always, preTls: false, endsGroup: true, junk: false },
  EXPN: absent,
  ETRN: absent,
};
