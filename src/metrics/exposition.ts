import { definitionOf, metricNames, type Readings } from "./catalogue.ts";

/** The media type of `formatReadings`. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Readings in the text format that Prometheus and its like collect, version 0.0.4. What was not measured is left out. */
export function formatReadings(readings: Readings): string {
  let text = "";
  for (const name of metricNames) {
    const series = readings.get(name);
    if (series === undefined || series.size === 0) continue;
    const { name: full, type, help } = definitionOf(name);
    text += `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`;
    for (const [which, value] of series) text += `${full}${which} ${value}\n`;
  }
  return text;
}
