import { chmodSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { err, type Log, messageOf, ok, type Result } from "../base/index.ts";
import { ADMIN_EVENTS } from "./events.ts";
import type { AdminOperations } from "./operations.ts";
import { type Answer, JsonLines, MAX_REQUEST, type Request, requestSchema } from "./protocol.ts";

export interface ControlServerOptions {
  /** The socket's path; see `socketPath`. */
  readonly path: string;
  readonly operations: AdminOperations;
  readonly log: Log;
}

/** The door through which the command line reaches a running daemon. */
export interface ControlServer {
  /** Takes no more requests, ends running connections and removes the socket. */
  close(): Promise<void>;
}

/** Connections at once; an operator's terminal needs one. */
const MAX_CONNECTIONS = 32;

/** Opens the control socket, readable for this user only. A socket left behind by a dead daemon is replaced. */
export async function createControlServer(options: ControlServerOptions): Promise<Result<ControlServer, string>> {
  const { path, log } = options;
  if (await answers(path)) return err(`another daemon runs on this data folder (it answers at ${path})`);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serve(socket, options);
  });
  server.maxConnections = MAX_CONNECTIONS;
  const problem = await bind(server, path);
  if (problem !== null) return err(`the control socket ${path} cannot be made: ${problem}`);
  server.on("error", (error) => log.warn(ADMIN_EVENTS.socketFailed, { error }));
  return ok({
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

/** Null, or why the server cannot listen. */
function bind(server: Server, path: string): Promise<string | null> {
  return new Promise((resolve) => {
    server.once("error", (error) => resolve(error.message));
    try {
      rmSync(path, { force: true });
    } catch (cause) {
      resolve(messageOf(cause));
      return;
    }
    // The socket is made within `listen`; the mask keeps others out from its first moment, also in an open folder.
    const mask = process.umask(0o177);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      server.removeAllListeners("error");
      resolve(null);
    });
    process.umask(mask);
  });
}

function serve(socket: Socket, { operations, log }: ControlServerOptions): void {
  const lines = new JsonLines(MAX_REQUEST);
  let turn = Promise.resolve();
  socket.on("error", (error) => log.debug(ADMIN_EVENTS.socketFailed, { error }));
  socket.on("data", (bytes: Uint8Array) => {
    const complete = lines.push(bytes);
    if (complete === null) {
      socket.destroy();
      return;
    }
    if (complete.length === 0) return;
    // One request after the other, and no reading meanwhile: a caller who never reads its answers cannot fill our memory.
    socket.pause();
    turn = turn.then(async () => {
      for (const line of complete) await send(socket, await answer(line, operations, log));
      socket.resume();
    });
  });
}

function send(socket: Socket, answered: Answer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.write(`${JSON.stringify(answered)}\n`, () => resolve());
  });
}

async function answer(line: string, operations: AdminOperations, log: Log): Promise<Answer> {
  const request = requestSchema.safeParse(readJson(line));
  if (!request.success)
    return { ok: false, error: "this daemon does not know that request (is it of another version?)" };
  try {
    return { ok: true, value: await run(request.data, operations) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log.error(ADMIN_EVENTS.operationFailed, { operation: request.data.operation, error });
    return { ok: false, error: error.message };
  }
}

function run(request: Request, operations: AdminOperations): Promise<unknown> {
  switch (request.operation) {
    case "list":
      return operations.list(request);
    case "show":
      return operations.show(request.id);
    case "history":
      return operations.history(request);
    case "act":
      return operations.act(request.action, request.target, { dryRun: request.dryRun, override: request.override });
    case "counts":
      return operations.counts();
  }
}

function readJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
