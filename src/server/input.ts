import { assert } from "../base/index.ts";
import { LineDecoder, type LineEvent, MAX_AUTH_LINE, parseCommand } from "../smtp/index.ts";
import type { Event } from "./state.ts";
import { verbs } from "./verbs.ts";

/**
 * The lines of one stream as events of the session. Pieces wait here while nobody takes events; the decoder gets one when it
 * has used up the one before.
 */
export class Input {
  readonly #commandLine: number;
  readonly #decoder: LineDecoder;
  readonly #pieces: Uint8Array[] = [];

  /** `commandLine`: octets of a command with its CRLF. */
  constructor(commandLine: number) {
    this.#commandLine = commandLine;
    // AUTH may be longer than any other command; the others are held to their limit line by line.
    this.#decoder = new LineDecoder(Math.max(commandLine, MAX_AUTH_LINE));
  }

  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pieces.push(bytes);
  }

  /** Octets of the peer wait behind the last event. */
  get followed(): boolean {
    return this.#pieces.length > 0 || this.#decoder.buffered > 0;
  }

  /** The next event, or null until more octets come. `authenticating`: a line is a response, not a command. */
  next(authenticating: boolean): Event | null {
    for (;;) {
      const found = this.#decoder.next();
      if (found !== null) return this.#eventOf(found, authenticating);
      const bytes = this.#pieces.shift();
      if (bytes === undefined) return null;
      this.#decoder.push(bytes);
    }
  }

  /** A body comes now: into a mode of its own with nothing left of the last one. */
  leaveLines(): void {
    assert(!this.followed, "no octet waits behind DATA");
    this.#decoder.takeRest();
  }

  /** A chunk comes now: all octets behind its BDAT, of which there may be none. */
  takeRest(): readonly Uint8Array[] {
    return [this.#decoder.takeRest(), ...this.#pieces.splice(0)];
  }

  #eventOf(found: LineEvent, authenticating: boolean): Event {
    if (found.kind !== "line") return { kind: "badLine", problem: found };
    const { line } = found;
    if (authenticating) return { kind: "response", line };
    if (line.length + 2 > this.#commandLine && !isAuth(line)) return { kind: "badLine", problem: { kind: "tooLong" } };
    const parsed = parseCommand(line);
    if (!parsed.ok) return { kind: "badLine", problem: parsed.error };
    return { kind: "command", command: parsed.value, followed: this.followed };
  }
}

/** True where a reply must not wait for those of further commands (RFC 2920 §3.2 (5), (6)). */
export function endsGroup(event: Event): boolean {
  return event.kind === "command" ? verbs[event.command.verb].endsGroup : true;
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
