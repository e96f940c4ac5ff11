// Opens connections to one port, each as far as EHLO inside TLS, and holds them until its channel ends.
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

const AT_A_TIME = 50;
const held: Socket[] = [];

async function open(port: number, number: number): Promise<void> {
  // One source address has too few ports for all of them.
  const socket = createConnection({ host: "127.0.0.1", port, localAddress: `127.0.1.${1 + (number % 200)}` });
  await reply(socket);
  for (const line of ["EHLO idle.test", "STARTTLS"]) {
    socket.write(`${line}\r\n`);
    await reply(socket);
  }
  const secured = connectTls({ socket, rejectUnauthorized: false });
  await once(secured, "secureConnect", { signal: AbortSignal.timeout(60_000) });
  secured.write("EHLO idle.test\r\n");
  await reply(secured);
  secured.on("error", () => {});
  held.push(secured);
}

async function reply(socket: Socket): Promise<void> {
  for (let text = ""; !/^\d{3} .*\r\n$/m.test(text); ) {
    const [piece]: unknown[] = await once(socket, "data", { signal: AbortSignal.timeout(60_000) });
    text += String(piece);
  }
}

process.on("message", async ({ port, count }: { readonly port: number; readonly count: number }) => {
  let next = 0;
  try {
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        while (next < count) await open(port, next++);
      }),
    );
    process.send?.(null);
  } catch (error) {
    process.send?.(`after ${held.length} connections: ${error}`);
  }
});
process.on("disconnect", () => process.exit(0));
