// Sends one large message over one connection as fast as the server takes it. A process of its own; its task as JSON in argv[2], its
// result as JSON on the standard output.
import { once } from "node:events";
import { createConnection } from "node:net";
import { crc32 } from "node:zlib";

export interface LargeTask {
  readonly port: number;
  /** Octets of the body, made of whole lines. */
  readonly octets: number;
  readonly recipient: string;
}

export interface LargeResult {
  readonly octets: number;
  /** Of the body as it goes over the wire, without the end mark. */
  readonly checksum: number;
  /** `Date.now()` when the first octet of the body was written, and when its 250 came. */
  readonly startedAt: number;
  readonly acknowledgedAt: number;
}

const LINE = `${"Lines of mail that is large, encoded as base64 would be, 76 octets long ".padEnd(76, "=")}\r\n`;
const BLOCK = Buffer.from(LINE.repeat(840), "latin1");

async function send(task: LargeTask): Promise<LargeResult> {
  const socket = createConnection({ host: "127.0.0.1", port: task.port, noDelay: true });
  let replies = "";
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    replies += text;
    socket.emit("reply");
  });
  const reply = async (code: string): Promise<void> => {
    for (;;) {
      const [line, rest] = splitReply(replies);
      if (line === null) await once(socket, "reply", { signal: AbortSignal.timeout(60_000) });
      else {
        replies = rest;
        if (!line.startsWith(code)) throw new Error(`${code} expected: ${line}`);
        return;
      }
    }
  };
  await reply("220");
  socket.write("EHLO load.test\r\n");
  await reply("250");
  for (const [command, code] of [
    ["MAIL FROM:<load@load.test>", "250"],
    [`RCPT TO:<${task.recipient}>`, "250"],
    ["DATA", "354"],
  ] as const) {
    socket.write(`${command}\r\n`);
    await reply(code);
  }
  const startedAt = Date.now();
  socket.write(`From: <load@load.test>\r\nTo: <${task.recipient}>\r\nSubject: large\r\n\r\n`);
  const blocks = Math.ceil(task.octets / BLOCK.length);
  let checksum = 0;
  for (let n = 0; n < blocks; n++) {
    checksum = crc32(BLOCK, checksum);
    if (!socket.write(BLOCK)) await once(socket, "drain");
  }
  socket.write(".\r\n");
  await reply("250");
  const acknowledgedAt = Date.now();
  socket.end("QUIT\r\n");
  return { octets: blocks * BLOCK.length, checksum, startedAt, acknowledgedAt };
}

/** The last line of the first whole reply, and what stands behind it. */
function splitReply(text: string): readonly [line: string | null, rest: string] {
  const found = /^(?:\d{3}-[^\n]*\n)*(\d{3}(?: [^\n]*)?\n)/.exec(text);
  return found === null ? [null, text] : [found[1] ?? "", text.slice(found[0].length)];
}

const task = process.argv[2];
if (import.meta.main && task !== undefined) process.stdout.write(JSON.stringify(await send(JSON.parse(task))));
