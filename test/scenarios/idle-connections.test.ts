// Many who connect and say nothing: what each costs, and that whoever comes next is served at once.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { test } from "node:test";
import { startNode } from "../node.ts";
import { Talk } from "./talk.ts";

/** As many as asked for, or as files may be open beside those that each side needs for itself. */
const MOST = 10_000;
const SPARE_FILES = 500;
const BATCH = 100;
const MOST_OCTETS_EACH = 64 * 1024;
const MOST_MILLISECONDS = 2000;

/** Octets of memory that a process has in use. */
async function residentOctets(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Files that this process may have open, and with it the daemon it starts; 0 where nobody tells. */
async function fileLimit(): Promise<number> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0);
}

function greeted(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("data", () => resolve(socket)).once("error", reject);
  });
}

const COUNT = Math.floor(Math.min(MOST, (await fileLimit()) - SPARE_FILES) / BATCH) * BATCH;
const skip = COUNT < BATCH * 2 ? "needs Linux, and more open files" : false;

test(`${COUNT} idle connections cost little, and a new client is served at once`, { skip }, async (context) => {
  await using node = await startNode({
    domains: ["here.test"],
    config: `[limits]\nconnections = ${COUNT + 100}\nconnections_per_address = ${COUNT + 100}\n`,
  });
  const idle: Socket[] = [];
  try {
    // The first ones bring code and buffers that stay; they are not counted.
    for (let i = 0; i < BATCH; i++) idle.push(await greeted(node.ports.mx));
    const before = await residentOctets(node.pid);
    while (idle.length < COUNT) {
      idle.push(...(await Promise.all(Array.from({ length: BATCH }, () => greeted(node.ports.mx)))));
    }
    const each = ((await residentOctets(node.pid)) - before) / (COUNT - BATCH);

    const start = performance.now();
    const talk = await Talk.open(node.ports.mx);
    for (const line of ["EHLO client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<late@here.test>"]) {
      assert.match((await talk.say(line)) ?? "", /^250/, line);
    }
    assert.match((await talk.say("DATA")) ?? "", /^354/);
    assert.match((await talk.say("Subject: late\r\n\r\nserved\r\n.")) ?? "", /^250 2\.0\.0/);
    const took = performance.now() - start;
    talk.close();

    context.diagnostic(`${Math.round(each)} octets each, ${Math.round(took)} ms for a message`);
    assert.ok(each < MOST_OCTETS_EACH, `${each} octets each`);
    assert.ok(took < MOST_MILLISECONDS, `${took} ms`);
    assert.ok(idle.every((socket) => !socket.destroyed && !socket.readableEnded));
  } finally {
    for (const socket of idle) socket.destroy();
  }
});
