import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { listen } from "./listen.ts";

const BURST = 1500;
const ESTABLISHED = "01";

/** A table of the kernel; null where there is none. */
function kernelTable(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}

test("a burst of connections finds room, none of them taken up in the meantime", async (context) => {
  const most = Number(kernelTable("/proc/sys/net/core/somaxconn") ?? 0);
  if (most < BURST) return context.skip("this system lets fewer connections wait, or does not tell");
  const listener = unwrap(await listen({ address: "127.0.0.1", port: 0, onStream: (stream) => stream.destroy() }));
  const { address: host, port } = listener.local;
  const remote = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  // All in one turn of the event loop that would take them up; on loopback the kernel is through with each when the call returns.
  const sockets = Array.from({ length: BURST }, () => createConnection({ host, port }).on("error", () => {}));
  await new Promise<void>((resolve) => process.nextTick(resolve));
  const rows = (kernelTable("/proc/net/tcp") ?? "").split("\n").map((row) => row.trim().split(/\s+/));
  for (const socket of sockets) socket.destroy();
  await listener.close();
  const established = rows.filter(([, , to, state]) => to?.endsWith(remote) && state === ESTABLISHED).length;
  assert.equal(established, BURST);
});
