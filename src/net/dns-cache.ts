import { LRUCache } from "lru-cache";
import { type Clock, type Duration, type Instant, later } from "../base/index.ts";

/** An answer, with how long it stands and what it weighs in memory. */
export interface Remembered<Answer> {
  readonly answer: Answer;
  /** Milliseconds; 0 for one that is good for this question alone. */
  readonly lifetime: Duration;
  /** About as many octets as it was in the message. */
  readonly octets: number;
}

/** Of one answer on average, so that a cache full of answers as large as DNS can carry stays small. */
const OCTETS_EACH = 512;

/**
 * Answers by name for as long as they stand, and the questions that are being asked, so that a name is asked for once however many
 * want it at a time. Bounded in number and in octets: the least used answer goes first.
 */
export class DnsCache<Answer extends object> {
  readonly #clock: Clock;
  readonly #answers: LRUCache<string, { readonly answer: Answer; readonly until: Instant; readonly octets: number }>;
  readonly #asking = new Map<string, Promise<Answer>>();

  /** `capacity`: the most answers kept. */
  constructor(capacity: number, clock: Clock) {
    this.#clock = clock;
    this.#answers = new LRUCache({
      max: capacity,
      maxSize: capacity * OCTETS_EACH,
      sizeCalculation: ({ octets }) => octets,
    });
  }

  /** The answer that is known, or that `ask` brings. `ask` should not reject; where it does, nothing is remembered. */
  get(name: string, ask: () => Promise<Remembered<Answer>>): Promise<Answer> {
    const known = this.#answers.get(name);
    if (known !== undefined && known.until > this.#clock.now()) return Promise.resolve(known.answer);
    const asking = this.#asking.get(name);
    if (asking !== undefined) return asking;
    const answered = this.#ask(name, ask);
    this.#asking.set(name, answered);
    return answered;
  }

  async #ask(name: string, ask: () => Promise<Remembered<Answer>>): Promise<Answer> {
    try {
      const { answer, lifetime, octets } = await ask();
      if (lifetime > 0) this.#answers.set(name, { answer, until: later(this.#clock.now(), lifetime), octets });
      return answer;
    } finally {
      this.#asking.delete(name);
    }
  }
}
