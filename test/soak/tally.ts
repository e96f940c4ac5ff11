// The count of a soak run, to the message.

export interface Tally {
  readonly sent: number;
  readonly acknowledged: number;
  /** Offered, and refused or cut off by the daemon's side; the traffic of peers that break off by themselves is not offered. */
  readonly notTaken: number;
  readonly delivered: number;
  readonly bounced: number;
  /** Acknowledged, and neither delivered nor bounced: in the queue, or lost when that is empty. */
  readonly open: readonly number[];
  /** Arrived again without a connection that was cut behind the end of data. */
  readonly repeated: readonly number[];
  /** Arrived again after such a cut. */
  readonly excused: number;
  readonly altered: readonly number[];
  /** Delivered where a bounce was due, or the other way round, or never sent. */
  readonly wrong: readonly number[];
}

interface Entry {
  acknowledged: boolean;
  readonly bounces: boolean;
  arrivals: number;
  excuses: number;
}

export class Count {
  readonly #entries = new Map<number, Entry>();
  readonly #altered: number[] = [];
  readonly #wrong: number[] = [];
  #notTaken = 0;

  sending(number: number, bounces: boolean): void {
    this.#entries.set(number, { acknowledged: false, bounces, arrivals: 0, excuses: 0 });
  }

  acknowledged(number: number): void {
    const entry = this.#entries.get(number);
    if (entry !== undefined) entry.acknowledged = true;
  }

  notTaken(): void {
    this.#notTaken++;
  }

  arrived(number: number | null, { bounce, intact }: { readonly bounce: boolean; readonly intact: boolean }): void {
    const entry = number === null ? undefined : this.#entries.get(number);
    if (entry === undefined || entry.bounces !== bounce) {
      this.#wrong.push(number ?? -1);
      return;
    }
    entry.arrivals++;
    if (!intact && number !== null) this.#altered.push(number);
  }

  /** Its connection was cut when its reply may not have been read. */
  excuse(number: number): void {
    const entry = this.#entries.get(number);
    if (entry !== undefined) entry.excuses++;
  }

  get arrivals(): number {
    let count = 0;
    for (const { arrivals } of this.#entries.values()) if (arrivals > 0) count++;
    return count;
  }

  close(): Tally {
    const all = [...this.#entries];
    const numbers = (which: (entry: Entry) => boolean): number[] =>
      all.filter(([, entry]) => which(entry)).map(([number]) => number);
    return {
      sent: all.length,
      acknowledged: numbers(({ acknowledged }) => acknowledged).length,
      notTaken: this.#notTaken,
      delivered: numbers(({ arrivals, bounces }) => arrivals > 0 && !bounces).length,
      bounced: numbers(({ arrivals, bounces }) => arrivals > 0 && bounces).length,
      open: numbers(({ acknowledged, arrivals }) => acknowledged && arrivals === 0),
      repeated: numbers(({ arrivals, excuses }) => arrivals > 1 + excuses),
      excused: numbers(({ arrivals, excuses }) => arrivals > 1 && arrivals <= 1 + excuses).length,
      altered: this.#altered,
      wrong: this.#wrong,
    };
  }
}
