import { type Clock, type Instant, instant } from "../base/index.ts";
import type { QueueId } from "./model.ts";

/** 2020-01-01T00:00:00Z; counting from here keeps ids within the safe integers until 2089. */
const EPOCH = 1_577_836_800_000;
/** Ids within one millisecond. When they are used up, the next millisecond's are taken. */
const PER_MILLISECOND = 4096;
/** Divides `PER_MILLISECOND`. */
const LANES = 64;
const LENGTH = 11;
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SYNTAX = /^[0-9A-HJKMNP-TV-Z]{11}$/;

/** 11 characters of Crockford base32, so that text order is the order of making. `number` is a safe integer of 0 or more. */
export function formatQueueId(number: number): QueueId {
  let rest = number;
  let text = "";
  for (let digit = 0; digit < LENGTH; digit++) {
    const low = rest % 32;
    text = ALPHABET.charAt(low) + text;
    rest = (rest - low) / 32;
  }
  return text as QueueId; // the digits were drawn from the alphabet just above
}

/** Reads an id as people write it: any case, with Crockford's look-alikes (O for 0, I and L for 1). Null for anything else. */
export function parseQueueId(text: string): QueueId | null {
  const canonical = text.toUpperCase().replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  if (!SYNTAX.test(canonical)) return null;
  const id = canonical as QueueId; // matched the syntax
  return Number.isSafeInteger(queueIdNumber(id)) ? id : null;
}

/** The number behind an id; what the stores keep. */
export function queueIdNumber(id: QueueId): number {
  let number = 0;
  for (let at = 0; at < id.length; at++) number = number * 32 + ALPHABET.indexOf(id.charAt(at));
  return number;
}

/** When an id was made, to the millisecond, unless the clock had stepped back. */
export function queueIdInstant(id: QueueId): Instant {
  return instant(EPOCH + Math.floor(queueIdNumber(id) / PER_MILLISECOND));
}

/**
 * Makes ids that only ever grow, also when the clock steps back. `after` is the greatest number already in use. Sources with
 * different lanes (0 to 63) never make the same id, whatever their clocks say; without one all ids are taken.
 */
export class QueueIdSource {
  #clock: Clock;
  #last: number;
  #lane: number | null;

  constructor(clock: Clock, after = 0, lane: number | null = null) {
    if (lane !== null && (!Number.isInteger(lane) || lane < 0 || lane >= LANES)) {
      throw new RangeError(`a lane of ids is a whole number from 0 to ${LANES - 1}, not ${lane}`);
    }
    this.#clock = clock;
    this.#last = after;
    this.#lane = lane;
  }

  next(): QueueId {
    return formatQueueId(this.nextNumber());
  }

  nextNumber(): number {
    const first = Math.max(0, this.#clock.now() - EPOCH) * PER_MILLISECOND;
    const least = Math.max(first, this.#last + 1);
    this.#last = this.#lane === null ? least : least + ((this.#lane - (least % LANES) + LANES) % LANES);
    return this.#last;
  }
}
