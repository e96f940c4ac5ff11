// What else happens to a server while it works: peers that are slow, idle, or break off, certificates read anew, users who come and go.
import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Node } from "../node.ts";

/** How often, milliseconds. */
export interface Disturbance {
  readonly reloadEvery: number;
  readonly userEvery: number;
  /** How long slow and idle peers stay, at most. */
  readonly stay: number;
}

/** Peers of each kind at once. */
const EACH = 3;
const COMMANDS = ["EHLO slow.test\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<box@maildir.test>\r\n", "DATA\r\n"];
const NAP = 100;

export interface Disturbances {
  /** User changes that the command line refused; there are none. */
  readonly failed: readonly string[];
  readonly reloads: number;
  readonly userChanges: number;
  readonly peers: number;
}

export async function disturb(node: Node, how: Disturbance, over: () => boolean): Promise<Disturbances> {
  const counts = { failed: [] as string[], reloads: 0, userChanges: 0, peers: 0 };
  const repeatedly = async (act: () => Promise<void>): Promise<void> => {
    while (!over()) await act();
  };
  const peers = [slow, idle, breaking].flatMap((visit) =>
    Array.from({ length: EACH }, () =>
      repeatedly(async () => {
        counts.peers++;
        await visit(node.ports.mx, how.stay, over);
      }),
    ),
  );
  await Promise.all([
    ...peers,
    repeatedly(async () => {
      await nap(how.reloadEvery, over);
      process.kill(node.pid, "SIGHUP");
      counts.reloads++;
    }),
    repeatedly(async () => {
      await nap(how.userEvery, over);
      const name = `guest${counts.userChanges++}@maildir.test`;
      const added = await node.command("user", "add", name, "--password-stdin", { stdin: "a guest's password" });
      const removed = await node.command("user", "remove", name);
      for (const { code, stderr } of [added, removed]) if (code !== 0) counts.failed.push(stderr);
    }),
  ]);
  return counts;
}

async function nap(length: number, over: () => boolean): Promise<void> {
  for (const end = performance.now() + length; performance.now() < end && !over(); ) await sleep(NAP);
}

type Visit = (port: number, stay: number, over: () => boolean) => Promise<void>;

/** Begins a message, sends a line of it now and then, and leaves in the middle. */
const slow: Visit = async (port, stay, over) => {
  const socket = connectTo(port);
  for (const command of COMMANDS) {
    socket.write(command);
    await sleep(NAP);
  }
  for (const end = performance.now() + stay; performance.now() < end && !over() && !socket.destroyed; ) {
    socket.write("a line of a message that never ends\r\n");
    await sleep(NAP);
  }
  socket.destroy();
};

/** Says nothing. */
const idle: Visit = async (port, stay, over) => {
  const socket = connectTo(port);
  await nap(Math.random() * stay, over);
  socket.destroy();
};

/** Leaves without a word: in a command, in a message, in a handshake, by reset. */
const breaking: Visit = async (port) => {
  const socket = connectTo(port);
  const text =
    Math.random() < 0.3 ? "EHLO broken.test\r\nSTARTTLS\r\n" : `${COMMANDS.join("")}Subject: cut\r\n\r\nhalf`;
  for (const line of text.slice(0, Math.random() * text.length).match(/[^\n]+\n?/g) ?? []) {
    socket.write(line);
    await sleep(NAP / 2);
  }
  if (Math.random() < 0.5) socket.resetAndDestroy();
  else socket.destroy();
  await sleep(NAP);
};

function connectTo(port: number): Socket {
  return createConnection({ host: "127.0.0.1", port })
    .on("error", () => {})
    .resume();
}
