// Many who are inside TLS and say nothing: Node's own buffers must not weigh more than what TLS itself needs.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { startNode } from "../node.ts";

const FIRST = 50;
const COUNT = 500;
const AT_A_TIME = 25;
/** OpenSSL's share is 29 KiB, and 35 to 39 were measured; 54 with a buffer of 64 KiB each for what comes in. */
const MOST_KIB_EACH = 46;

/** KiB that a process has from `brk`, where malloc's small pieces are; null where nobody tells. */
async function mallocHeap(pid: number): Promise<number | null> {
  const maps = await readFile(`/proc/${pid}/smaps`, "latin1").catch(() => "");
  const found = /\[heap\]\n(?:.+\n)*?Rss:\s+(\d+) kB/.exec(maps)?.[1];
  return found === undefined ? null : Number(found);
}

async function secured(port: number): Promise<TLSSocket> {
  const socket = createConnection({ host: "127.0.0.1", port });
  await once(socket, "data");
  socket.write("STARTTLS\r\n");
  await once(socket, "data");
  const inside = connect({ socket, rejectUnauthorized: false });
  await once(inside, "secureConnect");
  return inside;
}

const skip = (await mallocHeap(process.pid)) === null ? "needs Linux" : false;

test("idle connections inside TLS cost little beside what TLS itself needs", { skip }, async (context) => {
  await using node = await startNode({
    domains: ["here.test"],
    config: `[limits]\nconnections = ${COUNT + FIRST}\nconnections_per_address = ${COUNT + FIRST}\n`,
  });
  const idle: TLSSocket[] = [];
  const open = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left -= AT_A_TIME) {
      idle.push(...(await Promise.all(Array.from({ length: AT_A_TIME }, () => secured(node.ports.mx)))));
    }
  };
  try {
    await open(FIRST);
    const before = (await mallocHeap(node.pid)) ?? 0;
    await open(COUNT);
    const each = (((await mallocHeap(node.pid)) ?? 0) - before) / COUNT;
    context.diagnostic(`${each.toFixed(1)} KiB each`);
    assert.ok(each < MOST_KIB_EACH, `${each} KiB each`);

    // What is small while nothing comes grows with what comes: a body is not read in small pieces, and arrives.
    const [last] = idle;
    assert.ok(last !== undefined);
    last.setEncoding("latin1").write("EHLO client.test\r\n");
    assert.match(await said(last), /^250/);
    last.write("MAIL FROM:<a@client.test>\r\n");
    assert.match(await said(last), /^250/);
    last.write("RCPT TO:<late@here.test>\r\n");
    assert.match(await said(last), /^250/);
    last.write("DATA\r\n");
    assert.match(await said(last), /^354/);
    last.write(`Subject: late\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(5000)}.\r\n`);
    assert.match(await said(last), /^250 2\.0\.0/);
    assert.ok(idle.every((socket) => !socket.destroyed && !socket.readableEnded));
  } finally {
    for (const socket of idle) socket.destroy();
  }
});

async function said(socket: TLSSocket): Promise<string> {
  const [text]: unknown[] = await once(socket, "data", { signal: AbortSignal.timeout(10_000) });
  return String(text);
}
