import { LRUCache } from "lru-cache";
import { type Clock, type Duration, type Instant, later } from "../base/index.ts";

/**
 * Answers by name for as long as they stand, and the questions that are being asked, so that a name is asked for once however many
 * want it at a time. Bounded: the least used answer goes first.
 */
export class DnsCache<Answer extends object> {
  readonly #clock: Clock;
  readonly #answers: LRUCache<string, { readonly answer: Answer; readonly until: Instant }>;
  readonly #asking = new Map<string, Promise<Answer>>();

  /** `capacity`: the most answers kept. */
  constructor(capacity: number, clock: Clock) {
    this.#clock = clock;
    this.#answers = new LRUCache({ max: capacity });
  }

  /** The answer that is known, or that `ask` brings together with how long it stands. `ask` must not reject. */
  get(name: string, ask: () => Promise<{ answer: Answer; lifetime: Duration }>): Promise<Answer> {
    const known = this.#answers.get(name);
    if (known !== undefined && known.until > this.#clock.now()) return Promise.resolve(known.answer);
    const asking = this.#asking.get(name);
    if (asking !== undefined) return asking;
    const answered = ask().then(({ answer, lifetime }) => {
      this.#asking.delete(name);
      this.#answers.set(name, { answer, until: later(this.#clock.now(), lifetime) });
      return answer;
    });
    this.#asking.set(name, answered);
    return answered;
  }
}
