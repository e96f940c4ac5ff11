import type { Log, LogFields } from "../base/index.ts";

/** A log kept in memory, for showing some of its events to people. */
export interface EventLog extends Log {
  readonly events: readonly { readonly event: string; readonly fields: LogFields }[];
}

/** The newest this many events are kept. */
const MAX_EVENTS = 1000;

export function createEventLog(): EventLog {
  const events: { event: string; fields: LogFields }[] = [];
  const under = (parent: LogFields): Log => {
    const add = (event: string, fields: LogFields = {}) => {
      events.push({ event, fields: { ...parent, ...fields } });
      if (events.length > MAX_EVENTS) events.shift();
    };
    return { debug: add, info: add, warn: add, error: add, child: (fields) => under({ ...parent, ...fields }) };
  };
  return { events, ...under({}) };
}
