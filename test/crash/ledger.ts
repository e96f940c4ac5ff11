// The books of a crash run, apart from all sockets and files: what was acknowledged, what arrived in which life of the daemon, and
// what the queue held at each kill. From these follows whether a promise was broken.
import { type TestMessage, testMessage } from "./messages.ts";

/** What stood in the queue when a process was dead. */
export interface Snapshot {
  /** Which kill, from 1; a life is the time before it, and the first has number 0. */
  readonly kill: number;
  readonly point: string;
  /** Recipients without an outcome, in the queues of the processes that died. */
  readonly waiting: ReadonlySet<string>;
  /** True when no process lives on: then what was acknowledged has arrived or is in `waiting`. */
  readonly whole: boolean;
}

/** A second arrival, and the kill between the next hop's reply and our commit that explains it; null where there is none. */
export interface Repeat {
  readonly recipient: string;
  readonly kill: Pick<Snapshot, "kill" | "point"> | null;
}

export interface Findings {
  readonly sent: number;
  readonly acknowledged: number;
  /** Recipients reached, reports to senders among them. */
  readonly arrived: number;
  readonly repeats: readonly Repeat[];
  /** Acknowledged, and neither arrived nor reported nor in the queue, with the kill at which that showed. */
  readonly lost: readonly string[];
  /** Arrived, yet not as sent. */
  readonly altered: readonly string[];
  /** Reports on mail of which nothing failed. */
  readonly falseReports: readonly string[];
}

export class Ledger {
  readonly #acknowledged = new Set<number>();
  /** Recipients of acknowledged mail that have not been reached. */
  readonly #owed = new Map<string, TestMessage>();
  readonly #lives = new Map<string, number[]>();
  readonly #altered: string[] = [];
  readonly #falseReports: string[] = [];
  readonly #lost: string[] = [];
  /** Recipients reached that the queue nevertheless held at a kill: each may come once more, by that kill. */
  readonly #open = new Map<string, Pick<Snapshot, "kill" | "point">[]>();
  #sent = 0;

  nextNumber(): number {
    return ++this.#sent;
  }

  acknowledged(message: TestMessage): void {
    this.#acknowledged.add(message.number);
    for (const recipient of debts(message)) if (!this.#lives.has(recipient)) this.#owed.set(recipient, message);
  }

  /** Something reached `recipient` in life `life`. */
  arrived(recipient: string, life: number, intact: boolean): void {
    const lives = this.#lives.get(recipient) ?? [];
    lives.push(life);
    this.#lives.set(recipient, lives);
    this.#owed.delete(recipient);
    if (!intact) this.#altered.push(recipient);
  }

  /** A report on `number` reached its sender. */
  reported(number: number, life: number): void {
    const message = testMessage(number);
    if (message.refused.length === 0) this.#falseReports.push(message.sender);
    this.arrived(message.sender, life, true);
  }

  killed({ kill, point, waiting, whole }: Snapshot): void {
    for (const recipient of waiting) {
      if (!this.#lives.has(recipient)) continue;
      this.#open.set(recipient, [...(this.#open.get(recipient) ?? []), { kill, point }]);
    }
    if (!whole) return;
    for (const [recipient, message] of this.#owed) {
      if (waiting.has(recipient) || message.refused.some((each) => waiting.has(each))) continue;
      this.#lost.push(`${recipient} (kill ${kill}, ${point})`);
      this.#owed.delete(recipient);
    }
  }

  get acknowledgedSoFar(): number {
    return this.#acknowledged.size;
  }

  /** When the queue has drained. */
  close(): Findings {
    return {
      sent: this.#sent,
      acknowledged: this.#acknowledged.size,
      arrived: this.#lives.size,
      repeats: [...this.#lives].flatMap(([recipient, lives]) => this.#repeats(recipient, lives)),
      lost: [...this.#lost, ...[...this.#owed.keys()].map((recipient) => `${recipient} (at the end)`)],
      altered: this.#altered,
      falseReports: this.#falseReports,
    };
  }

  #repeats(recipient: string, lives: readonly number[]): Repeat[] {
    const inOrder = lives.toSorted((a, b) => a - b);
    const kills = this.#open.get(recipient) ?? [];
    return inOrder.slice(1).map((life, at) => {
      const before = inOrder[at] ?? life;
      // A life ends with the kill whose number is one more than its own.
      return { recipient, kill: kills.find(({ kill }) => before < kill && kill <= life) ?? null };
    });
  }
}

/** Who must hear of a message: its recipients, and its sender where one of them is refused. */
function debts({ recipients, refused, sender }: TestMessage): readonly string[] {
  return refused.length === 0 ? recipients : [...recipients, sender];
}
