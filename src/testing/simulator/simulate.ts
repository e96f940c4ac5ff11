import { HOUR, later, MINUTE } from "../../base/index.ts";
import { atRest, audit, countRepeats, inspect, type Violation } from "./audit.ts";
import type { World } from "./world.ts";

export interface SimulateOptions {
  /** Names the world and all that happens in it: a whole number from 0. */
  readonly seed: number;
  /** How many of the last events are kept for `Simulation.events`; default 60. */
  readonly events?: number;
}

/** One run of one world. */
export interface Simulation {
  readonly seed: number;
  /** Promises that were broken; none in a good run. */
  readonly violations: readonly Violation[];
  /** Equal for two runs only if the same happened in them. */
  readonly hash: string;
  /** The last things that happened, in words, when a promise was broken; else none. */
  readonly events: readonly string[];
  readonly counts: {
    /** Messages that programs tried to hand in. */
    readonly submitted: number;
    /** Of them those that were answered 250 for at least one recipient. */
    readonly acknowledged: number;
    /** Of those the ones of users who had logged in. */
    readonly fromUsers: number;
    /** Copies that reached a mailbox, reports among them. */
    readonly delivered: number;
    /** Recipients that were given up, and their senders told. */
    readonly bounced: number;
    /** Recipients reached once more than once, each for a reason that is allowed. */
    readonly repeated: number;
    /** Reports that were written. */
    readonly reports: number;
    readonly crashes: number;
    /** Milliseconds of virtual time. */
    readonly time: number;
    /** Steps of the event loop. */
    readonly steps: number;
  };
  /** What went wrong, and how often, by kind. */
  readonly faults: Readonly<Record<string, number>>;
}

const INSPECT_EVERY = 10 * MINUTE;
/** Everybody hangs up within this time: idle sessions after 30 seconds, silent ones after 5 minutes. */
const REST = 45 * MINUTE;

/**
 * Runs one world: a few Posterns with their real queues, schedules, policies, deliveries, sessions and reports, other people's hosts,
 * and programs that hand in mail, on virtual time; and everything that can go wrong with them for a while. Then all is calm, and
 * every message must be where it was promised to be. The same seed is the same run.
 */
export async function simulate({ seed, events = 60 }: SimulateOptions): Promise<Simulation> {
  // A world holds whole daemons: tests that need a stream or a clock should not wait for all of that.
  const { World: Simulated } = await import("./world.ts");
  const world = new Simulated(seed);
  const violations: Violation[] = [];
  const start = world.loop.now;
  world.begin();
  const limit = later(world.calmAt, timeToDrain(world));
  let drained = false;
  while (!drained && world.loop.now < limit && violations.length === 0) {
    await world.loop.run(later(world.loop.now, INSPECT_EVERY));
    violations.push(...(await inspect(world)));
    drained = world.faults.calm && (await world.waiting()) === 0;
  }
  if (drained) {
    await world.loop.run(later(world.loop.now, REST));
    violations.push(...atRest(world));
  } else if (violations.length === 0) {
    violations.push({ invariant: "the queues drain", text: await stuck(world) });
  }
  violations.push(...audit(world.ledger));
  return {
    seed,
    violations,
    hash: world.trace.hash,
    events: violations.length === 0 ? [] : world.trace.last(events),
    counts: countsOf(world, world.loop.now - start),
    faults: world.faults.tally,
  };
}

/**
 * Mail that nobody will ever take, and mail held by an operator, waits for its end, its report as long again, and a report from
 * the next hop may follow.
 */
function timeToDrain({ plan }: World): number {
  const [node] = plan.nodes;
  if (node === undefined) return 0;
  const { giveUpAfter, longest } = node.waits;
  return 3 * giveUpAfter + 6 * longest + 4 * HOUR;
}

async function stuck(world: World): Promise<string> {
  const lines: string[] = [];
  for (const { settings, disk } of world.nodes) {
    for (const { id, recipients, held } of await disk.messages()) {
      const [first] = recipients.filter(({ state }) => state === "waiting");
      const { lastOutcome = null, nextAttempt = 0, mailbox } = first ?? {};
      const reason = lastOutcome === null || lastOutcome.kind === "delivered" ? "untried" : lastOutcome.problem.text;
      const due = new Date(nextAttempt).toISOString();
      lines.push(
        `${settings.name}/${id} for ${mailbox?.localPart}@${mailbox?.domain}${held ? " held" : ""}, due ${due}: ${reason}`,
      );
    }
  }
  return `${lines.length} wait at ${new Date(world.loop.now).toISOString()}: ${lines.slice(0, 3).join("; ")}`;
}

function countsOf({ ledger, loop }: World, time: number): Simulation["counts"] {
  const { submissions, arrivals, copies, crashes } = ledger;
  let acknowledged = 0;
  let fromUsers = 0;
  for (const { answers, from } of submissions.values()) {
    if (![...answers.values()].includes("accepted")) continue;
    acknowledged++;
    if (from === "user") fromUsers++;
  }
  let reports = 0;
  let bounced = 0;
  for (const { reversePath, parent, recipients } of copies.values()) {
    if (reversePath === null && parent !== null) reports++;
    for (const { state, reports: told } of recipients) if (state === "failed" && told.length > 0) bounced++;
  }
  return {
    submitted: submissions.size,
    acknowledged,
    fromUsers,
    delivered: arrivals.length,
    bounced,
    repeated: countRepeats(ledger),
    reports,
    crashes: crashes.length,
    time,
    steps: loop.events,
  };
}
