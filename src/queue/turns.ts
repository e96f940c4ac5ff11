/** Jobs of one sender and one priority. */
interface Row<Job> {
  pending: Job[];
  /** Jobs before it are gone. */
  head: number;
}

/** Jobs of one priority: the sender named first has its turn. */
interface Lane<Job> {
  readonly priority: number;
  readonly senders: Map<string, Row<Job>>;
}

/**
 * The jobs that wait for one destination: the highest priority first, and within a priority senders take turns, so that ten thousand
 * messages of one never delay the single message of another. Each step costs the same, however many wait.
 */
export class Turns<Job> {
  /** Highest priority first; hardly ever more than one. */
  readonly #lanes: Lane<Job>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The priority of the job whose turn it is, null when none waits. */
  get priority(): number | null {
    return this.#first()?.priority ?? null;
  }

  add(job: Job, priority: number, sender: string): void {
    const { senders } = this.#laneOf(priority);
    const row = senders.get(sender);
    if (row === undefined) senders.set(sender, { pending: [job], head: 0 });
    else row.pending.push(job);
    this.#size++;
  }

  /** Takes out the job whose turn it is. */
  take(): Job | undefined {
    const lane = this.#first();
    if (lane === undefined) return undefined;
    for (const [sender, row] of lane.senders) {
      lane.senders.delete(sender);
      const job = takeFirst(row);
      if (row.pending.length > row.head) lane.senders.set(sender, row);
      this.#size--;
      return job;
    }
    return undefined;
  }

  /** Takes out all jobs. */
  drain(): Job[] {
    const jobs = this.#lanes.flatMap(({ senders }) =>
      [...senders.values()].flatMap(({ pending, head }) => pending.slice(head)),
    );
    this.#lanes.length = 0;
    this.#size = 0;
    return jobs;
  }

  /** Takes out those that match, whosever turn it is; the others stay in their order. */
  remove(matches: (job: Job) => boolean): Job[] {
    const removed: Job[] = [];
    for (const { senders } of this.#lanes) {
      for (const [sender, row] of senders) {
        const waiting = row.pending.slice(row.head);
        const kept = waiting.filter((job) => !matches(job));
        if (kept.length === waiting.length) continue;
        removed.push(...waiting.filter(matches));
        if (kept.length === 0) senders.delete(sender);
        else senders.set(sender, { pending: kept, head: 0 });
      }
    }
    this.#size -= removed.length;
    return removed;
  }

  #first(): Lane<Job> | undefined {
    for (const lane of this.#lanes) if (lane.senders.size > 0) return lane;
    return undefined;
  }

  #laneOf(priority: number): Lane<Job> {
    const place = this.#lanes.findIndex((lane) => lane.priority <= priority);
    const found = this.#lanes[place];
    if (found !== undefined && found.priority === priority) return found;
    const lane: Lane<Job> = { priority, senders: new Map() };
    this.#lanes.splice(place === -1 ? this.#lanes.length : place, 0, lane);
    return lane;
  }
}

/** The array is cut now and then instead of being moved for each. */
function takeFirst<Job>(row: Row<Job>): Job | undefined {
  const job = row.pending[row.head];
  row.head++;
  if (row.head > 1000) {
    row.pending = row.pending.slice(row.head);
    row.head = 0;
  }
  return job;
}
