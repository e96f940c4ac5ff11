import { printable } from "../base/index.ts";
import type { RecordReport, RecordsReport } from "../daemon/index.ts";
import { table } from "./terminal.ts";

/** The records as a zone file, ready to be put into one. What only the operator knows stands in comments. */
export function zoneLines({ hostname, records }: RecordsReport): readonly string[] {
  const known = records.filter(({ data }) => data !== null);
  const rows = table(known.map(({ name, ttl, type, data }) => [`${name}.`, String(ttl), "IN", type, data ?? ""]));
  return [
    `; Records for ${printable(hostname)} and the domains whose mail ends there.`,
    ...records.filter(({ data }) => data === null).map(({ name, note }) => `; ${printable(name)}. needs ${note}.`),
    ...known.flatMap((record, at) => {
      const repeated = known[at - 1]?.note === record.note && known[at - 1]?.name === record.name;
      return [...(repeated ? [] : [`; ${record.note}`]), rows[at] ?? ""];
    }),
  ];
}

/** What is published, a line for each record, and below it what is there and what to do about it. */
export function publishedLines({ records, ok }: RecordsReport): readonly string[] {
  const rows = table(records.map((record) => [statusOf(record), record.type, record.name, record.data ?? ""]));
  const failures = records.filter(({ published }) => published?.failure === true).length;
  return [
    ...records.flatMap(({ published }, at) => {
      const { found = [], detail = null, status = null } = published ?? {};
      const there = status === "different" || status === "unsigned" ? found.map((each) => `there is: ${each}`) : [];
      return [rows[at] ?? "", ...[...there, ...(detail === null ? [] : [detail])].map(indented)];
    }),
    "",
    ok ? "all is published" : `${failures} of ${records.length} records need attention`,
  ];
}

function indented(text: string): string {
  return `    ${printable(text)}`;
}

function statusOf({ published }: RecordReport): string {
  if (published === null) return "";
  return published.status === "ok" || published.failure ? published.status : `(${published.status})`;
}
