import { definitionOf, type MetricName, type Readings } from "./catalogue.ts";

/** One number that is kept up. To count is to write `value`, and nothing else, because it is done for every message. */
export interface Cell {
  value: number;
}

/** Counts observations by their size. */
export interface Histogram {
  /** In the unit of the metric. */
  observe(value: number): void;
}

/**
 * Series of one metric. Labels have few values; should a bug give them more, the rest is counted together, because neither our memory
 * nor that of who collects this may grow with what peers send.
 */
const MAX_SERIES = 200;
const REST = "other";

/** The numbers of one process. */
export class Meter {
  readonly #cells = new Map<MetricName, Map<string, Cell>>();
  readonly #histograms = new Map<MetricName, Buckets>();

  /** The cell of these values of the metric's labels, in their order; made at first use. Keep it where it is needed often. */
  cell(name: MetricName, ...values: readonly string[]): Cell {
    let cells = this.#cells.get(name);
    if (cells === undefined) {
      cells = new Map();
      this.#cells.set(name, cells);
    }
    const { labels } = definitionOf(name);
    let series = formatLabels(labels, values);
    let cell = cells.get(series);
    if (cell !== undefined) return cell;
    if (cells.size >= MAX_SERIES) {
      series = formatLabels(
        labels,
        labels.map(() => REST),
      );
      cell = cells.get(series);
      if (cell !== undefined) return cell;
    }
    cell = { value: 0 };
    cells.set(series, cell);
    return cell;
  }

  histogram(name: MetricName): Histogram {
    const known = this.#histograms.get(name);
    if (known !== undefined) return known;
    const made = new Buckets(definitionOf(name).bounds ?? []);
    this.#histograms.set(name, made);
    return made;
  }

  /** The metric has no value for now. */
  forget(name: MetricName): void {
    this.#cells.delete(name);
  }

  readings(): Readings {
    const readings = new Map<MetricName, ReadonlyMap<string, number>>();
    for (const [name, cells] of this.#cells) {
      readings.set(name, new Map([...cells].map(([series, { value }]) => [series, value])));
    }
    for (const [name, histogram] of this.#histograms) readings.set(name, histogram.series());
    return readings;
  }
}

class Buckets implements Histogram {
  readonly #bounds: readonly number[];
  /** Each without those below it; the last is beyond all bounds. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? 0)) at++;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  series(): ReadonlyMap<string, number> {
    const series = new Map<string, number>();
    let count = 0;
    for (const [at, each] of this.#counts.entries()) {
      count += each;
      const bound = this.#bounds[at];
      series.set(`_bucket${formatLabels(["le"], [bound === undefined ? "+Inf" : String(bound)])}`, count);
    }
    series.set("_sum", this.#sum);
    series.set("_count", count);
    return series;
  }
}

/** `{service="mx",tls="none"}`; empty without labels. What is missing is empty. */
function formatLabels(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return "";
  return `{${names.map((name, at) => `${name}="${escapeLabel(values[at] ?? "")}"`).join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}
