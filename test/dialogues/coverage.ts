import { decodeUtf8Lenient } from "../../src/base/index.ts";
import * as engine from "../../src/server/replies.ts";
import { verbs } from "../../src/server/verbs.ts";
import { formatReply, type Reply } from "../../src/smtp/index.ts";
import type { Dialogue } from "./dialogue.ts";

type Heard = (reply: Reply) => boolean;

/** Replies that a function makes: one of each kind. A new function does not compile until it stands here. */
type Made = {
  readonly [Name in keyof typeof engine as (typeof engine)[Name] extends Reply ? never : Name]: readonly (
    | Reply
    | Heard
  )[];
};

const made: Made = {
  greeting: [engine.greeting("mx.test", "smtp"), engine.greeting("mx.test", "lmtp")],
  ehlo: [({ code, lines }) => code === 250 && lines.length > 1 && lines[0] === "mx.test"],
  helo: [engine.helo("mx.test")],
  chunkTaken: [engine.chunkTaken(0), engine.chunkTaken(6)],
  challenge: [engine.challenge(Uint8Array.of(1, 2, 3, 4)), engine.challenge(new Uint8Array(0))],
  badCommand: [
    engine.badCommand({ kind: "unknownVerb", verb: "WHAT" }),
    engine.badCommand({ kind: "badArgument", verb: "DATA", expected: "no argument" }),
    engine.badCommand({ kind: "badAddress", verb: "MAIL", problem: { kind: "syntax", at: 0, expected: "" } }),
    engine.badCommand({ kind: "badAddress", verb: "RCPT", problem: { kind: "syntax", at: 0, expected: "" } }),
    engine.badCommand({ kind: "badOctets" }),
    engine.badCommand({ kind: "http" }),
  ],
  badParameter: [
    engine.badParameter({ kind: "unknown", keyword: "NONSENSE" }),
    engine.badParameter({ kind: "badValue", keyword: "SIZE", expected: "SIZE=octets" }),
    engine.badParameter({ kind: "repeated", keyword: "SIZE" }),
  ],
  badBody: (["bareNewline", "lineTooLong", "nul", "tooBig"] as const).map(engine.badBody),
};

/** What was said and heard in dialogues. */
export class Coverage {
  readonly #verbs = new Set<string>();
  readonly #replies = new Map<string, Reply>();

  add(dialogue: Dialogue, replies: readonly Reply[]): void {
    for (const reply of replies) this.#replies.set(keyOf(reply), reply);
    for (const step of dialogue.steps) {
      if (step.kind !== "send") continue;
      for (const line of decodeUtf8Lenient(step.octets).split("\r\n")) {
        this.#verbs.add((line.split(" ")[0] ?? "").toUpperCase());
      }
    }
  }

  unsaidVerbs(): readonly string[] {
    return Object.keys(verbs).filter((verb) => !this.#verbs.has(verb));
  }

  unheardReplies(): readonly string[] {
    const heard = [...this.#replies.values()];
    const unheard: string[] = [];
    for (const [name, value] of Object.entries<Reply | unknown>(engine)) {
      const samples = Reflect.get(made, name) ?? [value];
      for (const [index, sample] of (samples as readonly (Reply | Heard)[]).entries()) {
        const met = typeof sample === "function" ? heard.some(sample) : this.#replies.has(keyOf(sample));
        if (!met) unheard.push(samples.length > 1 ? `${name} ${index + 1}` : name);
      }
    }
    return unheard;
  }
}

function keyOf(reply: Reply): string {
  return decodeUtf8Lenient(formatReply(reply));
}
