import { createConnection, type Socket } from "node:net";
import { type Duration, SECOND } from "../base/index.ts";
import type { AdminOperations } from "./operations.ts";
import { type Answer, JsonLines, MAX_ANSWER, type Request } from "./protocol.ts";

/** Operations carried out by a running daemon. A refusal or a lost connection rejects with an `AdminError`. */
export interface ControlClient extends AdminOperations {
  close(): void;
}

/** What the daemon answered instead of a result, as one plain line. */
export class AdminError extends Error {
  override readonly name = "AdminError";
}

/** How long a look is waited for: a page of the queue takes milliseconds. Changes may be to a million messages, and have no limit. */
const PATIENCE: Duration = 30 * SECOND;

/**
 * Connects to the daemon whose socket is at `path`; null when none answers there. One that takes the connection and is silent, stopped or
 * stuck, must not keep a look waiting for ever: after `patience` milliseconds it rejects.
 */
export function connectControl(path: string, patience: Duration = PATIENCE): Promise<ControlClient | null> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("error", () => resolve(null));
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(clientOver(socket, patience));
    });
  });
}

function clientOver(socket: Socket, patience: Duration): ControlClient {
  const lines = new JsonLines(MAX_ANSWER);
  const waiting: { resolve(answer: Answer): void }[] = [];
  const fail = (error: string) => {
    for (const { resolve } of waiting.splice(0)) resolve({ ok: false, error });
  };
  socket.on("data", (bytes: Uint8Array) => {
    const complete = lines.push(bytes);
    if (complete === null) socket.destroy();
    else for (const line of complete) waiting.shift()?.resolve(JSON.parse(line));
  });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => fail("the daemon ended the connection"));
  const giveUp = () => {
    fail(`the daemon does not answer within ${patience / SECOND} s; is it stopped (SIGSTOP), or stuck?`);
    socket.destroy();
  };
  const call = async (request: Request) => {
    const timer = request.operation === "act" ? undefined : setTimeout(giveUp, patience);
    const answer = await new Promise<Answer>((resolve) => {
      if (socket.destroyed) {
        resolve({ ok: false, error: "the daemon ended the connection" });
        return;
      }
      waiting.push({ resolve });
      socket.write(`${JSON.stringify(request)}\n`);
    });
    clearTimeout(timer);
    if (answer.ok) return answer.value;
    throw new AdminError(answer.error);
  };
  // The daemon at the other end is this program: what it answers has the type of the operation.
  return {
    list: async (request) =>
      (await call({ operation: "list", ...request })) as Awaited<ReturnType<AdminOperations["list"]>>,
    show: async (id) => (await call({ operation: "show", id })) as Awaited<ReturnType<AdminOperations["show"]>>,
    history: async (request) =>
      (await call({ operation: "history", ...request })) as Awaited<ReturnType<AdminOperations["history"]>>,
    act: async (action, target, options = {}) => {
      return (await call({ operation: "act", action, target, ...options })) as Awaited<
        ReturnType<AdminOperations["act"]>
      >;
    },
    counts: async () => (await call({ operation: "counts" })) as Awaited<ReturnType<AdminOperations["counts"]>>,
    close: () => socket.destroy(),
  };
}
