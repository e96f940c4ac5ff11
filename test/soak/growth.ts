// Whether a daemon grows: samples of one quantity, an earlier stretch of the run against its end.

/** What the daemon told of itself at one time, and what its files took. */
export interface Sample {
  /** Milliseconds since the traffic began. */
  readonly at: number;
  /** Octets. */
  readonly rss: number;
  readonly heap: number;
  readonly external: number;
  readonly disk: number;
  /** Open files and sockets. */
  readonly handles: number;
  /** Milliseconds, the 99th percentile between two samples. */
  readonly loopDelay: number;
}

export type Quantity = Exclude<keyof Sample, "at">;

export interface Growth {
  readonly quantity: Quantity;
  /** Medians. */
  readonly early: number;
  readonly late: number;
  readonly limit: number;
  readonly grown: boolean;
}

const MIB = 1024 * 1024;

/** By how much the later median may exceed the earlier one: what collection of garbage and chance in the traffic account for. */
const ALLOWED: Record<Quantity, { readonly share: number; readonly more: number }> = {
  rss: { share: 0.1, more: 24 * MIB },
  heap: { share: 0.15, more: 12 * MIB },
  external: { share: 0.15, more: 24 * MIB },
  disk: { share: 0.1, more: 64 * MIB },
  handles: { share: 0, more: 20 },
  loopDelay: { share: 0.5, more: 10 },
};

/** The stretch that is the measure, after the daemon is warm, and the last one; shares of the whole run (of 30 minutes: 10 to 15, 25 to 30). */
const EARLY = [1 / 3, 1 / 2] as const;
const LATE = [5 / 6, 1] as const;

/** Null where a stretch has no samples: the run was too short, or the daemon told nothing. */
export function growthOf(samples: readonly Sample[], length: number): readonly Growth[] | null {
  const within = ([from, to]: readonly [number, number]): readonly Sample[] =>
    samples.filter(({ at }) => at >= from * length && at <= to * length);
  const early = within(EARLY);
  const late = within(LATE);
  if (early.length === 0 || late.length === 0) return null;
  const quantities: readonly Quantity[] = ["rss", "heap", "external", "disk", "handles", "loopDelay"];
  return quantities.map((quantity) => {
    const before = median(early.map((sample) => sample[quantity]));
    const after = median(late.map((sample) => sample[quantity]));
    const { share, more } = ALLOWED[quantity];
    const limit = before * (1 + share) + more;
    return { quantity, early: before, late: after, limit, grown: after > limit };
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
