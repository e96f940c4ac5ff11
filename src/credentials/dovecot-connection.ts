import { connect, type Socket } from "node:net";
import { type Clock, printable, SECOND, type Timer } from "../base/index.ts";
import {
  type DovecotAnswer,
  type DovecotRequest,
  formatHandshake,
  formatRequest,
  parseDovecotLine,
} from "./dovecot-lines.ts";

/** A path of a socket, or a host and port. */
export type DovecotAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** The connection, the handshake and each answer take no longer; Dovecot itself holds a refusal back for some seconds. */
const PATIENCE = 20 * SECOND;

/** The longest line of a server that is believed. */
const MAX_LINE = 16 * 1024;

/** Requests that wait for their answer at once. */
const MAX_PENDING = 1000;

interface Pending {
  /** What had been heard when it was asked. */
  readonly heard: number;
  readonly settle: (answer: DovecotAnswer) => void;
  readonly timer: Timer;
}

/** One connection to Dovecot, over which many requests go at once. It is used until it breaks, and then never again. */
export class DovecotConnection {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  /** Requests that wait for the handshake; null when it is over. */
  #waiting: string[] | null = [];
  #plain = false;
  #rest = "";
  #lastId = 0;
  /** Pieces that came, to tell a dead connection from one slow answer. */
  #heard = 0;
  #broken: string | null = null;
  readonly #handshake: Timer;

  constructor(at: DovecotAddress, clock: Clock) {
    this.#clock = clock;
    this.#socket = connect(at);
    this.#socket.setNoDelay(true);
    this.#socket.setEncoding("utf8");
    this.#socket.on("data", (text: string) => this.#read(text));
    this.#socket.on("error", (error) => this.#break(error.message));
    this.#socket.on("close", () => this.#break("it closed the connection"));
    this.#socket.write(formatHandshake(process.pid));
    this.#handshake = clock.after(PATIENCE, () => this.#break("it does not answer"));
  }

  /** Nothing can be asked over it any more. */
  get broken(): boolean {
    return this.#broken !== null;
  }

  /** "busy": too many are asked already. */
  ask(request: Omit<DovecotRequest, "id">): Promise<DovecotAnswer> | "busy" {
    if (this.#pending.size >= MAX_PENDING) return "busy";
    if (this.#broken !== null) return Promise.resolve({ kind: "temporary", reason: this.#broken });
    this.#lastId = (this.#lastId % 0x7fff_ffff) + 1;
    const id = this.#lastId;
    const text = formatRequest({ ...request, id });
    if (this.#waiting === null) this.#socket.write(text);
    else this.#waiting.push(text);
    return new Promise((settle) => {
      const timer = this.#clock.after(PATIENCE, () => this.#giveUp(id));
      this.#pending.set(id, { heard: this.#heard, settle, timer });
    });
  }

  /**
   * Where nothing came since it was asked the connection is dead, and the next login gets a new one. Else Dovecot takes its time over this
   * one alone, as it does with guessers and a slow database: those beside it must not suffer.
   */
  #giveUp(id: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (pending.heard === this.#heard) {
      this.#break("it does not answer");
      return;
    }
    this.#pending.delete(id);
    pending.settle({ kind: "temporary", reason: "it does not answer" });
  }

  close(): void {
    this.#break("Postern stops");
  }

  #read(text: string): void {
    this.#heard++;
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MAX_LINE) {
      this.#break("it sent a line that has no end");
      return;
    }
    for (const line of lines) {
      if (this.#broken !== null) return;
      this.#take(line);
    }
  }

  #take(line: string): void {
    const parsed = parseDovecotLine(line);
    if (!parsed.ok) {
      this.#break(parsed.error);
      return;
    }
    const { value } = parsed;
    if (value.kind === "mechanism") this.#plain ||= value.name === "PLAIN";
    if (value.kind === "done") this.#begin();
    if (value.kind !== "answer") return;
    const pending = this.#pending.get(value.id);
    this.#pending.delete(value.id);
    pending?.timer.cancel();
    pending?.settle(value.answer);
  }

  #begin(): void {
    this.#handshake.cancel();
    if (!this.#plain) {
      this.#break("it does not take PLAIN; add it to auth_mechanisms");
      return;
    }
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    if (waiting.length > 0) this.#socket.write(waiting.join(""));
  }

  #break(reason: string): void {
    if (this.#broken !== null) return;
    this.#broken = printable(reason);
    this.#handshake.cancel();
    this.#socket.destroy();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    this.#waiting = [];
    for (const { settle, timer } of pending) {
      timer.cancel();
      settle({ kind: "temporary", reason: this.#broken });
    }
  }
}
