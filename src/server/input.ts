import { type LineEvent, parseCommand } from "../smtp/index.ts";
import type { BodyEnd } from "./body-receiver.ts";
import type { Event } from "./state.ts";
import { verbs } from "./verbs.ts";

/** What the session is told of a line. `limit` in octets with CRLF; `followed`: octets already wait behind the line. */
export function lineEvent(
  found: LineEvent,
  at: { readonly authenticating: boolean; readonly limit: number; readonly followed: boolean },
): Event {
  if (found.kind !== "line") return { kind: "badLine", problem: found };
  const { line } = found;
  if (at.authenticating) return { kind: "response", line };
  if (line.length + 2 > at.limit && !isAuth(line)) return { kind: "badLine", problem: { kind: "tooLong" } };
  const parsed = parseCommand(line);
  if (!parsed.ok) return { kind: "badLine", problem: parsed.error };
  return { kind: "command", command: parsed.value, followed: at.followed };
}

/** True where a reply must not wait for those of further commands (RFC 2920 §3.2 (5), (6)). */
export function endsGroup(event: Event): boolean {
  return event.kind === "command" ? verbs[event.command.verb].endsGroup : true;
}

/** What the session is told of the end of a body. */
export function bodyEvent(end: BodyEnd): Event {
  switch (end.kind) {
    case "taken":
      return { kind: "bodyTaken", reply: end.reply };
    case "refused":
      return { kind: "bodyRefused", problem: end.problem };
    case "endless":
      return { kind: "bodyEndless" };
  }
}

/** Only AUTH may be as long as a line of an AUTH exchange (RFC 4954 §4). */
function isAuth(line: Uint8Array): boolean {
  return (
    ((line[0] ?? 0) | 0x20) === 0x61 &&
    ((line[1] ?? 0) | 0x20) === 0x75 &&
    ((line[2] ?? 0) | 0x20) === 0x74 &&
    ((line[3] ?? 0) | 0x20) === 0x68 &&
    line[4] === 0x20
  );
}
