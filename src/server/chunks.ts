import { assert } from "../base/index.ts";
import type { Reply } from "../smtp/index.ts";
import type { Transaction, Verdict } from "./policy.ts";
import * as replies from "./replies.ts";
import type { Chunk, CommandPhase, Ending, MessageChunk, Phase, State, Step, Talk } from "./state.ts";
import { ask, fault, proceed, refusalOf, refuseAll, say, shut } from "./steps.ts";

/** What a refused chunk counts for at least, so that a client cannot send chunks of no octets for ever. */
const LEAST_SKIPPED = 1024;

/**
 * BDAT (RFC 3030 §2). Its octets follow whatever becomes of it, and none of them may be taken for a command: a refusal is said
 * when all of them came. Where the connection ends instead, nothing behind the command is read any more.
 */
export function onChunk(state: State, at: CommandPhase, chunk: Chunk): Step {
  // Who was not offered CHUNKING does not count octets as we do: a body read as commands would be message smuggling.
  if (at.name === "greeted" || !at.talk.offered.has("CHUNKING")) return shut(state, replies.notImplemented);
  const { offer } = at.talk;
  // The announced size is the client's word: more than this is not read, not even to be polite.
  if (chunk.size > offer.messageSize + state.settings.limits.discard) return shut(state, replies.tooBig);
  if (offer.requireTls && !state.settings.secure) return skip(state, at, chunk, wrong(replies.tlsRequired));
  switch (at.name) {
    case "idle":
      return skip(state, at, chunk, wrong(replies.mailFirst));
    case "spoiled":
      return skip(state, at, chunk, { as: "nothing", replies: [replies.chunkAfterFailure] });
    case "transaction":
      if (at.transaction.recipients.length === 0) return unaddressed(state, at, chunk);
      if (chunk.size > offer.messageSize) return skip(state, at, chunk, refusal(replies.tooBig));
      return ask(state, at, { kind: "body", transaction: at.transaction, chunk });
    case "chunking":
      if (at.received + chunk.size > offer.messageSize) return skip(state, at, chunk, refusal(replies.tooBig));
      return receive(state, at.talk, { ...chunk, transaction: at.transaction, received: at.received });
  }
}

/** RFC 2033 §4.3: one reply for each recipient is none where there is no recipient. */
function unaddressed(state: State, at: CommandPhase, chunk: Chunk): Step {
  if (state.settings.protocol === "smtp") return skip(state, at, chunk, wrong(replies.noRecipients));
  if (chunk.last) return skip(state, at, chunk, { as: "fault", replies: [] });
  return skip(state, at, chunk, wrong(replies.noRecipientsOverLmtp));
}

/** The policy took the message of which this is the first chunk. */
export function beginChunks(state: State, talk: Talk, transaction: Transaction, chunk: Chunk): Step {
  return receive(state, talk, { ...chunk, transaction, received: 0 });
}

/** The policy will not have the message of which this is the first chunk. */
export function refuseChunks(state: State, at: CommandPhase, chunk: Chunk, verdict: Verdict | "failed"): Step {
  if (verdict === "failed") return skip(state, at, chunk, { as: "nothing", replies: [replies.localError] });
  assert(verdict.kind === "refuse", "only a refusal refuses");
  const reply = refusalOf(verdict.reply);
  if (verdict.close === true || reply.code === 421) return shut(state, reply);
  return skip(state, at, chunk, refusal(reply));
}

function receive(state: State, talk: Talk, chunk: MessageChunk): Step {
  // A message may be cut into chunks of any size, and one in pieces of nothing is no message.
  const { tally } = state;
  const junk = tally.junk + (chunk.size === 0 && !chunk.last ? 1 : 0);
  if (junk > state.settings.limits.junk) return shut(state, replies.tooManyErrors);
  const answers = chunk.last ? answersTo(state, chunk.transaction) : 1;
  const binary = chunk.transaction.parameters.body === "BINARYMIME";
  return proceed(
    { ...state, tally: { ...tally, junk } },
    { name: "receiving", talk, answers, chunk },
    { kind: "receiveChunk", chunk, binary, maxSize: talk.offer.messageSize },
  );
}

/** All octets of the chunk came: it was stored, or it was nothing. */
export function onChunkCame(state: State): Step {
  const { phase } = state;
  if (phase.name === "skipping") return end(state, phase.next, phase.ending);
  assert(phase.name === "receiving" && phase.chunk !== null, "a chunk ends only where one began");
  const { talk, chunk } = phase;
  const { transaction, size } = chunk;
  const next: CommandPhase = { name: "chunking", talk, transaction, received: chunk.received + size };
  return proceed(state, next, say(replies.chunkTaken(size)));
}

/** Where a message that ended badly leads to: what the client has already sent of it is still to come (RFC 3030 §2). */
export function afterFailure(state: State, phase: Phase): CommandPhase {
  assert(phase.name === "receiving", "a body ends only where one began");
  const { talk, chunk } = phase;
  if (chunk === null || chunk.last) return { name: "idle", talk };
  return { name: "spoiled", talk, answers: answersTo(state, chunk.transaction), skipped: 0 };
}

/** How many replies the end of a message gets: RFC 2033 §4.2 for LMTP. */
export function answersTo(state: State, { recipients }: Transaction): number {
  return state.settings.protocol === "lmtp" ? recipients.length : 1;
}

function skip(state: State, at: CommandPhase, chunk: Chunk, ending: Ending): Step {
  const { answers, next, skipped } = failed(state, at, chunk);
  const most = (at.name === "greeted" ? 0 : at.talk.offer.messageSize) + state.settings.limits.discard;
  if (skipped > most) return shut(state, replies.tooBig);
  // The end of the message gets its replies once, whether it comes in this chunk or in one that is already on its way.
  const said = chunk.last ? ending.replies.flatMap((reply) => Array<Reply>(answers).fill(reply)) : ending.replies;
  return {
    state: { ...state, phase: { name: "skipping", next, ending: { ...ending, replies: said } } },
    actions: [{ kind: "skipChunk", octets: chunk.size }],
  };
}

/** The transaction is over with its first failure, as after a failed DATA. */
function failed(state: State, at: CommandPhase, chunk: Chunk) {
  const open = at.name === "transaction" || at.name === "chunking" ? at.transaction : null;
  const answers = at.name === "spoiled" ? at.answers : open === null ? 1 : Math.max(1, answersTo(state, open));
  const skipped = (at.name === "spoiled" ? at.skipped : 0) + Math.max(chunk.size, LEAST_SKIPPED);
  const next: CommandPhase =
    at.name === "greeted"
      ? at
      : chunk.last
        ? { name: "idle", talk: at.talk }
        : { name: "spoiled", talk: at.talk, answers, skipped };
  return { answers, next, skipped };
}

function end(state: State, next: CommandPhase, { as, replies: said }: Ending): Step {
  if (as === "fault") return fault(state, next, ...said);
  if (as === "refusal") return refuseAll(state, next, said);
  return proceed(state, next, ...said.map(say));
}

function wrong(reply: Reply): Ending {
  return { as: "fault", replies: [reply] };
}

function refusal(reply: Reply): Ending {
  return { as: "refusal", replies: [reply] };
}
