import { later } from "../base/index.ts";
import type { Outcome } from "../queue/index.ts";
import { type AttemptResult, attemptHost } from "./attempt.ts";
import type { DialContext } from "./dial.ts";
import type { HostSight, HostSlot } from "./host-loads.ts";
import { sightOf } from "./host-sight.ts";
import { aborted, combine, leftAlone, outOfTime, withoutTurn } from "./outcome.ts";
import { clearTextRound, type Plan, type PlannedAttempt, type RuledOut } from "./plan.ts";
import type { Load } from "./spoken-load.ts";
import type { Survey } from "./survey.ts";
import { isHandshakeFailure } from "./tls-failure.ts";

/** What a delivery to hosts needs to know, beyond what the survey found. */
export interface RemoteRequest {
  readonly load: Load;
  /** The recipients' domain where its hosts are asked and reported on, else null. */
  readonly domain: string | null;
  /** After a failed handshake, where nothing demanded TLS, clear text at the same hosts; else the mail waits. */
  readonly clearTextAfterTlsFailure: boolean;
  /** No further host is begun after so many milliseconds. */
  readonly budget: number;
}

/** Offers a message to one host after the other, until each recipient has its answer. One outcome a recipient, in order. */
export async function deliverToHosts(
  { lookup, plan }: Survey,
  request: RemoteRequest,
  context: DialContext,
): Promise<readonly Outcome[]> {
  const { recipients } = request.load;
  if (lookup.kind !== "hosts") {
    const { kind, problem } = lookup;
    const scope = kind === "deferred" ? "host" : "recipient";
    return recipients.map(() => ({ kind, scope, problem, hop: null }));
  }
  const round = new Round(request, plan, context);
  const handshakes = await round.run(plan.attempts);
  round.tellRuledOut(plan.attempts.length);
  if (request.clearTextAfterTlsFailure) await round.run(clearTextRound(handshakes));
  return round.outcomes(lookup.unresolved);
}

/** Who still needs a host, and what each heard so far. */
class Round {
  readonly #request: RemoteRequest;
  readonly #context: DialContext;
  readonly #heard: Outcome[][];
  readonly #final: (Outcome | null)[];
  readonly #until: number;
  /** Not yet told to reports. */
  #ruledOut: readonly RuledOut[];

  constructor(request: RemoteRequest, plan: Plan, context: DialContext) {
    this.#request = request;
    this.#context = context;
    this.#ruledOut = plan.ruledOut;
    const { recipients } = request.load;
    this.#final = recipients.map(() => null);
    this.#heard = recipients.map(() =>
      plan.ruledOut.map(({ kind, problem, turnAt }) => ({
        kind,
        scope: "message",
        problem,
        hop: null,
        ...(turnAt === undefined ? {} : { turnAt }),
      })),
    );
    this.#until = later(context.dialling.clock.now(), request.budget);
  }

  /** Returns the attempts that ended in a failed handshake. */
  async run(attempts: readonly PlannedAttempt[]): Promise<readonly PlannedAttempt[]> {
    const handshakes: PlannedAttempt[] = [];
    const { dialling, signal } = this.#context;
    for (const [i, attempt] of attempts.entries()) {
      const places = this.#waiting();
      if (places.length === 0) break;
      const late = i > 0 && dialling.clock.now() >= this.#until;
      if (signal.aborted || late) {
        // Heard from all hosts or not: while one is left to be asked, no refusal of another is the last word.
        for (const place of places) at(this.#heard, place).push(signal.aborted ? aborted() : outOfTime(attempt.host));
        break;
      }
      this.tellRuledOut(i);
      const slot = await this.#enter(attempt, places);
      if (slot === null) continue;
      const result = await this.#attempt(attempt, places, slot);
      for (const [n, place] of places.entries()) {
        const { outcome, tryNext } = at(result.findings, n);
        if (tryNext) at(this.#heard, place).push(outcome);
        else this.#final[place] = outcome;
      }
      if (result.problem !== null && isHandshakeFailure(result.problem)) handshakes.push(attempt);
    }
    return handshakes;
  }

  /** A slot at the host, or null: then those who asked for it have heard why, and mail that waits for its turn goes no further. */
  async #enter({ host, port }: PlannedAttempt, places: readonly number[]): Promise<HostSlot | null> {
    const { dialling, signal } = this.#context;
    const asked = dialling.loads.enter(host.toLowerCase(), port, signal);
    // Hardly ever a promise, and this runs for every message.
    const turn = asked instanceof Promise ? await asked : asked;
    if (turn.kind === "slot") return turn.slot;
    for (const place of places) {
      if (turn.kind === "dead") at(this.#heard, place).push(leftAlone(host, turn.until, turn.text));
      // The next host is for when this one fails, and it did not.
      else this.#final[place] = signal.aborted ? aborted() : withoutTurn(host, turn.until);
    }
    return null;
  }

  async #attempt(attempt: PlannedAttempt, places: readonly number[], slot: HostSlot): Promise<AttemptResult> {
    const { load } = this.#request;
    const recipients = places.map((place) => at(load.recipients, place));
    let sight: HostSight = { kind: "nothing" };
    try {
      const result = await attemptHost(attempt, { ...load, recipients }, this.#context, slot.limit);
      if (!this.#context.signal.aborted) sight = sightOf(result);
      return result;
    } finally {
      slot.leave(sight);
    }
  }

  /** Tells reports of the hosts that were passed over before the attempt at `place`, once, if anybody came as far as that. */
  tellRuledOut(place: number): void {
    const { domain } = this.#request;
    if (domain === null || this.#ruledOut.length === 0 || this.#waiting().length === 0) return;
    for (const { host, after, told } of this.#ruledOut) {
      if (after > place || told === null) continue;
      const { policy, flaw } = told;
      this.#context.dialling.results?.add({
        domain,
        policy,
        host,
        sendingAddress: null,
        receivingAddress: null,
        ...flaw,
      });
    }
    this.#ruledOut = this.#ruledOut.filter(({ after }) => after > place);
  }

  outcomes(unresolved: readonly string[]): readonly Outcome[] {
    return this.#heard.map((heard, place) => this.#final[place] ?? combine(heard, unresolved) ?? aborted());
  }

  #waiting(): number[] {
    return this.#final.flatMap((outcome, place) => (outcome === null ? [place] : []));
  }
}

function at<T>(list: readonly T[], place: number): T {
  const item = list[place];
  if (item === undefined) throw new Error(`no item at ${place}: one finding belongs to each recipient`);
  return item;
}
