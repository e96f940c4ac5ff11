import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { test } from "node:test";
import { err, ok, unwrap } from "../base/index.ts";
import { listen, listenAll } from "./listen.ts";

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

test("several listeners are opened in order, or none: those before the one that cannot be had are closed again", async () => {
  const open = new Set<number>();
  const tried = (ports: readonly number[]) =>
    listenAll(
      ports.map((port) => ({ port })),
      ({ port }, at) => ({ address: `192.0.2.${at}`, port, onStream() {} }),
      async ({ address, port }) => {
        if (port === 0) return err({ kind: "addressInUse", detail: "taken" });
        open.add(port);
        return ok({
          local: { address, port },
          close: async () => {
            open.delete(port);
          },
        });
      },
    );
  const listeners = unwrap(await tried([25, 587]));
  assert.deepEqual(
    listeners.map(({ local }) => local),
    [
      { address: "192.0.2.0", port: 25 },
      { address: "192.0.2.1", port: 587 },
    ],
  );
  open.clear();
  assert.deepEqual(await tried([25, 0, 587]), {
    ok: false,
    error: { listener: { port: 0 }, problem: { kind: "addressInUse", detail: "taken" } },
  });
  assert.deepEqual([...open], []);
});
