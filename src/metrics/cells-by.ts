import type { MetricName } from "./catalogue.ts";
import type { Cell, Meter } from "./meter.ts";

/** Finds the cell of a value without making anything, once it is known. */
export type FoundCell = (value: string) => Cell;

/** Without bound the map would keep what a bug lets through, though the meter does not. */
const MOST_KNOWN = 200;

/** The cells of a metric by the last of its labels; `before`: the others. */
export function cellsBy(meter: Meter, name: MetricName, ...before: readonly string[]): FoundCell {
  return known((value) => meter.cell(name, ...before, value));
}

/** The cells that `find` finds, each looked for once. */
export function known(find: FoundCell): FoundCell {
  const cells = new Map<string, Cell>();
  return (value) => {
    let cell = cells.get(value);
    if (cell === undefined) {
      cell = find(value);
      if (cells.size < MOST_KNOWN) cells.set(value, cell);
    }
    return cell;
  };
}
