import { definitionOf, type MetricName, type Readings } from "./catalogue.ts";

/** What a process told of itself. */
export interface Told {
  /** Differs from process to process. */
  readonly life: string;
  readonly readings: Readings;
}

interface Place {
  told: Told | null;
  /** What its former lives had counted when they were asked last. */
  past: Readings;
}

const NOTHING: Readings = new Map();

/**
 * Several processes as one. What a worker counted does not go with it: a counter that fell would look like a restart of the whole, and
 * what was counted before would be lost to whoever adds up. So the last that a life told is added to what the next one tells, and where
 * a worker cannot be asked its last word counts. What it counted after that word is lost.
 */
export class RollCall {
  readonly #places: readonly Place[];

  constructor(workers: number) {
    this.#places = Array.from({ length: workers }, () => ({ told: null, past: NOTHING }));
  }

  /** Adds up what each worker, in their order, has just told; null: it did not answer. */
  sum(answers: readonly (Told | null)[]): Readings {
    const parts: Readings[] = [];
    for (const [at, place] of this.#places.entries()) {
      const answer = answers[at] ?? null;
      if (answer !== null) {
        const { told } = place;
        if (told !== null && told.life !== answer.life) place.past = added([place.past, only(told.readings, isKept)]);
        place.told = answer;
      }
      parts.push(place.past);
      if (place.told === null) continue;
      parts.push(answer === null ? only(place.told.readings, outlives) : place.told.readings);
    }
    return added(parts);
  }
}

/** All of them together, each metric by its own rule. */
export function added(parts: readonly Readings[]): Readings {
  const sum = new Map<MetricName, Map<string, number>>();
  for (const part of parts) {
    for (const [name, series] of part) {
      let into = sum.get(name);
      if (into === undefined) {
        into = new Map();
        sum.set(name, into);
      }
      const least = definitionOf(name).together === "least";
      for (const [which, value] of series) {
        const before = into.get(which);
        into.set(which, before === undefined ? value : least ? Math.min(before, value) : before + value);
      }
    }
  }
  return sum;
}

/** Stays when a process is followed by another. */
function isKept(name: MetricName): boolean {
  const { type, ofProcess } = definitionOf(name);
  return type !== "gauge" && ofProcess !== true;
}

/** Is as true while the process cannot be asked. */
function outlives(name: MetricName): boolean {
  return isKept(name) || definitionOf(name).outlives === true;
}

function only(readings: Readings, keep: (name: MetricName) => boolean): Readings {
  return new Map([...readings].filter(([name]) => keep(name)));
}
