// Opens connections to one port, each as far as EHLO inside TLS, and holds them until its channel ends.
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

const AT_A_TIME = 50;
const held: Socket[] = [];

export interface IdleTask {
  readonly port: number;
  /** TLS from the first octet on; else by STARTTLS. */
  readonly implicit: boolean;
  readonly count: number;
}

async function open({ port, implicit }: IdleTask, number: number): Promise<void> {
  // One source address has too few ports for all of them.
  const socket = createConnection({ host: "127.0.0.1", port, localAddress: `127.0.1.${1 + (number % 200)}` });
  if (implicit) await once(socket, "connect", { signal: AbortSignal.timeout(60_000) });
  else await startTls(socket);
  const secured = connectTls({ socket, rejectUnauthorized: false });
  await once(secured, "secureConnect", { signal: AbortSignal.timeout(60_000) });
  if (implicit) await reply(secured);
  secured.write("EHLO idle.test\r\n");
  await reply(secured);
  secured.on("error", () => {});
  held.push(secured);
}

async function startTls(socket: Socket): Promise<void> {
  await reply(socket);
  for (const line of ["EHLO idle.test", "STARTTLS"]) {
    socket.write(`${line}\r\n`);
    await reply(socket);
  }
}

async function reply(socket: Socket): Promise<void> {
  for (let text = ""; !/^\d{3} .*\r\n$/m.test(text); ) {
    const [piece]: unknown[] = await once(socket, "data", { signal: AbortSignal.timeout(60_000) });
    text += String(piece);
  }
}

process.on("message", async (task: IdleTask) => {
  let next = 0;
  try {
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        while (next < task.count) await open(task, next++);
      }),
    );
    process.send?.(null);
  } catch (error) {
    process.send?.(`after ${held.length} connections: ${error}`);
  }
});
process.on("disconnect", () => process.exit(0));
