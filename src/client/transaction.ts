import { assertNever } from "../base/index.ts";
import { type Reply, severity } from "../smtp/index.ts";
import type { ClientProblem, RecipientResult, Stage } from "./types.ts";

/** What one transaction says, already written out. */
export interface TransactionPlan {
  readonly mail: string;
  /** One line each recipient, at least one. */
  readonly rcpts: readonly string[];
  /** The server offers PIPELINING (RFC 2920): all up to DATA goes out at once. */
  readonly pipelining: boolean;
  /** LMTP: one reply each accepted recipient after the end of data (RFC 2033 §4.2). */
  readonly lmtp: boolean;
  /** An earlier transaction may still stand at the server: RSET goes first. */
  readonly reset: boolean;
  /**
   * How the body goes (RFC 3030). "data": DATA. An array: all octets, as one chunk right behind the RCPT lines, in their group;
   * only with `pipelining`, and not with `reset` or `lmtp`. "chunks": BDAT after a yes to a recipient.
   */
  readonly body: "data" | "chunks" | Uint8Array;
}

export type TransactionAction =
  /** Send these lines; one reply is owed for each, at the stage beside it. */
  | { readonly kind: "send"; readonly commands: readonly PlannedCommand[] }
  /** Send the body; `replies` are owed after the end mark. Report `endMark` before its first octet is written. */
  | { readonly kind: "sendBody"; readonly replies: number }
  /** As `sendBody`, by BDAT: report `chunk` before each that is not the last, and owe a reply to it. */
  | { readonly kind: "sendChunks"; readonly replies: number }
  /** The chunk is taken; the next may follow where the server does not offer PIPELINING. */
  | { readonly kind: "chunkTaken" }
  /** Nothing is to be said before the next reply. */
  | { readonly kind: "wait" }
  /** It is over. `reset`: RSET is needed before the next. */
  | { readonly kind: "done"; readonly reset: boolean }
  /** It is over, and so is the session: `problem`, or null for an orderly goodbye of the server's. */
  | { readonly kind: "close"; readonly problem: ClientProblem | null };

export interface PlannedCommand {
  readonly line: string;
  readonly stage: Stage;
  /** Octets right behind the line. */
  readonly chunk?: Uint8Array;
}

/** Where the next reply belongs; `rcpt` and `end` also to which recipient. */
type Place =
  | { readonly at: "reset" | "mail" | "data" | "body" }
  /** `.` alone after a 354 that nobody wanted (RFC 2920 §3.1). */
  | { readonly at: "emptyBody" }
  | { readonly at: "rcpt" | "end"; readonly index: number }
  | { readonly at: "over" };

const RESET: PlannedCommand = { line: "RSET", stage: "reset" };
const DATA: PlannedCommand = { line: "DATA", stage: "data" };

/**
 * One mail transaction: which reply belongs to what, and the fate of each recipient. Takes replies in order and says what to do
 * next; no I/O, clock or socket. It keeps its state in itself rather than in copies, for a thousand recipients' sake.
 *
 * A refused recipient never stops the others. `results` is whole once an action `done` or `close` came, or after `broken`.
 */
export class Transaction {
  readonly #plan: TransactionPlan;
  readonly #fates: (RecipientResult | null)[];
  /** Recipients that RCPT was answered 2yz for, by index, in order. */
  readonly #accepted: number[] = [];
  #place: Place;
  #mailRefusal: Reply | null = null;
  #endMark = false;
  /** Chunks sent, not the last, that are not answered. */
  #chunks = 0;

  constructor(plan: TransactionPlan) {
    this.#plan = plan;
    this.#fates = plan.rcpts.map(() => null);
    this.#place = { at: plan.reset ? "reset" : "mail" };
  }

  begin(): TransactionAction {
    const { rcpts, reset, pipelining } = this.#plan;
    const first = reset ? RESET : this.#mail();
    if (!pipelining) return { kind: "send", commands: [first] };
    // RFC 2920 §3.1: RSET, MAIL and RCPT anywhere in a group, DATA as its last command.
    const commands: PlannedCommand[] = reset ? [first, this.#mail()] : [first];
    for (const line of rcpts) commands.push({ line, stage: "rcpt" });
    if (this.#plan.body === "data") commands.push(DATA);
    else if (this.#plan.body !== "chunks") commands.push(this.#wholeChunk(this.#plan.body));
    return { kind: "send", commands };
  }

  /** Takes the next reply owed. */
  reply(reply: Reply): TransactionAction {
    // RFC 5321 §3.8, §4.2.1: the server is leaving; nothing that is still owed will come.
    if (reply.code === 421) return this.#leaving(reply);
    const place = this.#place;
    switch (place.at) {
      case "reset":
        return this.#onReset(reply);
      case "mail":
        return this.#onMail(reply);
      case "rcpt":
        return this.#onRcpt(place.index, reply);
      case "data":
        return this.#onData(reply);
      case "emptyBody":
        // Whatever the server thinks of an empty message for nobody, the recipients' fates stand already.
        return severity(reply) === "continue" ? this.#odd("end", reply) : this.#over(true);
      case "end":
        return this.#chunks > 0 ? this.#onChunk(reply) : this.#onEnd(place.index, reply);
      case "body":
        return this.#chunks > 0 ? this.#onChunk(reply) : this.early(reply);
      case "over":
        return this.#odd("end", reply);
      default:
        return assertNever(place);
    }
  }

  /** A chunk that is not the last is about to be written. */
  chunk(): void {
    this.#chunks++;
  }

  /** The end mark, or the last chunk, is about to be written: from here on the message may have been taken. */
  endMark(): void {
    this.#endMark = true;
    this.#place = { at: "end", index: 0 };
  }

  /**
   * A reply that came while the body was still being sent. A no counts for all (the server will not take the rest); a yes to
   * something not yet said is not SMTP and never means "delivered".
   */
  early(reply: Reply): TransactionAction {
    if (severity(reply) === "success" || severity(reply) === "continue") return this.#odd("body", reply);
    return this.#leaving(reply);
  }

  /** The session broke: settles all who are not. */
  broken(problem: ClientProblem): void {
    const uncertain = this.#endMark && !this.#goneBeforeMail(problem);
    for (const [index, fate] of this.#fates.entries()) {
      if (fate === null) this.#fates[index] = { kind: "broken", problem, uncertain };
    }
    this.#place = { at: "over" };
  }

  /** One each recipient, in order. */
  results(): readonly RecipientResult[] {
    return this.#fates.map((fate) => {
      if (fate === null) throw new Error("the transaction is not over");
      return fate;
    });
  }

  /**
   * Gone without a word to MAIL, where a server that had taken a message would have answered MAIL, RCPT and BDAT first: what was lost
   * is at worst a reply in flight. It matters because idle sessions end like this, and their mail should not wait for it.
   */
  #goneBeforeMail(problem: ClientProblem): boolean {
    if (this.#place.at !== "mail" || this.#plan.body === "data") return false;
    return problem.kind === "closed" || (problem.kind === "network" && problem.problem.kind !== "aborted");
  }

  #wholeChunk(chunk: Uint8Array): PlannedCommand {
    this.#endMark = true;
    return { line: `BDAT ${chunk.length} LAST`, stage: "end", chunk };
  }

  #mail(): PlannedCommand {
    return { line: this.#plan.mail, stage: "mail" };
  }

  #rcpt(index: number): PlannedCommand | null {
    const line = this.#plan.rcpts[index];
    return line === undefined ? null : { line, stage: "rcpt" };
  }

  #next(command: PlannedCommand): TransactionAction {
    return this.#plan.pipelining ? { kind: "wait" } : { kind: "send", commands: [command] };
  }

  #onReset(reply: Reply): TransactionAction {
    // RFC 5321 §4.1.1.5 knows no other answer than 250. Without it nobody knows which transaction the next MAIL would join.
    if (severity(reply) !== "success") {
      const odd = severity(reply) === "continue";
      return odd ? this.#odd("reset", reply) : this.#close({ kind: "refused", stage: "reset", reply });
    }
    this.#place = { at: "mail" };
    return this.#next(this.#mail());
  }

  #onMail(reply: Reply): TransactionAction {
    if (severity(reply) === "continue") return this.#odd("mail", reply);
    if (severity(reply) !== "success") {
      this.#settle("mail", reply);
      this.#mailRefusal = reply;
      if (!this.#plan.pipelining) return this.#over(false);
    }
    this.#place = { at: "rcpt", index: 0 };
    return this.#next(this.#rcpt(0) ?? DATA);
  }

  #onRcpt(index: number, reply: Reply): TransactionAction {
    if (severity(reply) === "continue") return this.#odd("rcpt", reply);
    if (severity(reply) === "success") this.#accepted.push(index);
    else this.#fates[index] ??= { kind: "refused", stage: "rcpt", reply };
    const following = this.#rcpt(index + 1);
    if (following !== null) {
      this.#place = { at: "rcpt", index: index + 1 };
      return this.#next(following);
    }
    if (typeof this.#plan.body === "object") {
      this.#place = { at: "end", index: 0 };
      return { kind: "wait" };
    }
    const nobody = this.#accepted.length === 0;
    if (nobody && (!this.#plan.pipelining || this.#plan.body === "chunks")) return this.#over(true);
    if (this.#plan.body === "chunks") return this.#onReadyForChunks();
    this.#place = { at: "data" };
    return this.#next(DATA);
  }

  #onReadyForChunks(): TransactionAction {
    // A recipient taken without its MAIL: whose message would this be?
    if (this.#mailRefusal !== null) return this.#odd("rcpt", this.#mailRefusal);
    this.#place = { at: "body" };
    return { kind: "sendChunks", replies: this.#plan.lmtp ? this.#accepted.length : 1 };
  }

  /** RFC 3030 §2: after a chunk that was refused the transaction is void, and what is still under way is refused as well. */
  #onChunk(reply: Reply): TransactionAction {
    this.#chunks--;
    if (severity(reply) === "continue") return this.#odd("body", reply);
    if (severity(reply) === "success") return { kind: "chunkTaken" };
    const answered = this.#chunks === 0 && !this.#endMark;
    this.#settle("end", reply);
    if (answered) return this.#over(true);
    this.#place = { at: "over" };
    return { kind: "close", problem: null };
  }

  #onData(reply: Reply): TransactionAction {
    if (reply.code === 354) return this.#onGoAhead(reply);
    if (reply.code < 400) return this.#odd("data", reply);
    this.#settle("data", reply);
    return this.#over(true);
  }

  #onGoAhead(reply: Reply): TransactionAction {
    if (this.#accepted.length > 0 && this.#mailRefusal === null) {
      this.#place = { at: "body" };
      return { kind: "sendBody", replies: this.#plan.lmtp ? this.#accepted.length : 1 };
    }
    // With recipients taken after a refused MAIL a lone dot might deliver an empty message; and in LMTP nobody would answer it.
    if (this.#accepted.length > 0 || this.#plan.lmtp) return this.#odd("data", reply);
    this.#place = { at: "emptyBody" };
    return { kind: "send", commands: [{ line: ".", stage: "end" }] };
  }

  #onEnd(index: number, reply: Reply): TransactionAction {
    // Only 2yz is a yes; after a 3yz nobody knows.
    if (severity(reply) === "continue") return this.#odd("end", reply);
    const taken = severity(reply) === "success";
    if (typeof this.#plan.body === "object") {
      // RFC 3030 §2: BDAT without a recipient is refused, its octets are passed over; the recipients' fates stand already.
      if (this.#accepted.length === 0) return this.#over(true);
      if (this.#mailRefusal !== null) return this.#odd("end", reply);
    }
    const fate: RecipientResult = taken ? { kind: "accepted", reply } : { kind: "refused", stage: "end", reply };
    const whose = this.#plan.lmtp ? this.#accepted.slice(index, index + 1) : this.#accepted;
    for (const recipient of whose) this.#fates[recipient] = fate;
    if (!this.#plan.lmtp || index + 1 === this.#accepted.length) return this.#over(!taken);
    this.#place = { at: "end", index: index + 1 };
    return { kind: "wait" };
  }

  #settle(stage: Stage, reply: Reply): void {
    for (const [index, fate] of this.#fates.entries()) {
      if (fate === null) this.#fates[index] = { kind: "refused", stage, reply };
    }
  }

  #leaving(reply: Reply): TransactionAction {
    this.#settle(this.#stage(), reply);
    this.#place = { at: "over" };
    return { kind: "close", problem: null };
  }

  /** Where a refusal of everything counts: what is asked for by RSET is the transaction, and by the body its end. */
  #stage(): Stage {
    const { at } = this.#place;
    if (at === "reset") return "mail";
    return at === "mail" || at === "rcpt" || at === "data" ? at : "end";
  }

  #over(reset: boolean): TransactionAction {
    this.#place = { at: "over" };
    return { kind: "done", reset };
  }

  #odd(stage: Stage, reply: Reply): TransactionAction {
    return this.#close({ kind: "protocol", stage, detail: `unexpected reply code ${reply.code}`, problem: null });
  }

  #close(problem: ClientProblem): TransactionAction {
    this.broken(problem);
    return { kind: "close", problem };
  }
}
