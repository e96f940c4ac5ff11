// What senders are told, and what they may ask of time and urgency, over daemons as an operator runs them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts, logged, type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

const RELAY = `[relay]\nnetworks = ["127.0.0.0/8"]\n`;
const route = (match: string, port: number): string =>
  `[[route]]\nmatch = "${match}"\nvia = "smtp://127.0.0.1:${port}"\ntls = "off"\n`;

/** Sends one message by its envelope lines and gives the last reply. */
async function send(port: number, mail: string, ...rcpts: readonly string[]): Promise<string> {
  const talk = await Talk.open(port);
  try {
    await talk.say("EHLO client.test");
    return await transaction(talk, mail, rcpts);
  } finally {
    talk.close();
  }
}

async function transaction(talk: Talk, mail: string, rcpts: readonly string[]): Promise<string> {
  for (const line of [`MAIL FROM:${mail}`, ...rcpts.map((rcpt) => `RCPT TO:${rcpt}`)]) {
    const reply = await talk.say(line);
    if (reply?.startsWith("250") !== true) return reply ?? "closed";
  }
  assert.match((await talk.say("DATA")) ?? "", /^354/);
  talk.send("Subject: told\r\n\r\nbody\r\n.\r\n");
  return (await talk.reply()) ?? "closed";
}

/** Another server, with the extensions given, that takes all mail and remembers what it was told. */
class OtherServer {
  readonly lines: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(extensions: readonly string[]) {
    this.#server = createServer((socket) => this.#serve(socket, extensions));
  }

  static async start(...extensions: readonly string[]): Promise<OtherServer> {
    const other = new OtherServer(extensions);
    other.#server.listen(0, "127.0.0.1");
    await once(other.#server, "listening");
    return other;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  #serve(socket: Socket, extensions: readonly string[]): void {
    this.#sockets.add(socket);
    let rest = "";
    let inBody = false;
    socket.on("error", () => {});
    socket.write("220 other.test ESMTP\r\n");
    socket.setEncoding("latin1").on("data", (text) => {
      const lines = (rest + text).split("\r\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (inBody && line !== ".") continue;
        if (!inBody) this.lines.push(line);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === "EHLO")
          socket.write(["other.test", ...extensions].map((one, i) => row(one, i, extensions)).join(""));
        else socket.write(verb === "DATA" ? "354 go\r\n" : verb === "QUIT" ? "221 bye\r\n" : "250 2.0.0 fine\r\n");
        inBody = verb === "DATA";
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const row = (text: string, place: number, all: readonly string[]): string =>
  `250${place === all.length ? " " : "-"}${text}\r\n`;

/** The fields for programs of a report, per-message ones first. */
const actionsOf = (report: string): string[] => report.match(/^Action: .*$/gm) ?? [];

async function emptied(node: Node): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const listed = await node.command("queue", "list", "--json");
    if (listed.stdout.trim() === "[]") return;
    assert.ok(attempt < 40, listed.stdout);
    await sleep(100);
  }
}

test("a delivery is reported to who asked, with the names that were given, and to nobody else", async () => {
  await using node = await startNode({ domains: ["here.test"] });
  const mail = "<ada@here.test> RET=FULL ENVID=QQ+2B31";
  const reply = await send(
    node.ports.mx,
    mail,
    "<bob@here.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Robert+2Bx@here.test",
    "<eve@here.test>",
    "<sam@here.test> NOTIFY=NEVER",
  );
  assert.match(reply, /^250 2\.0\.0/);
  const [report = ""] = await node.mailArrives("ada", 1);
  assert.match(report, /^Return-Path: <>\r\n/);
  assert.deepEqual(actionsOf(report), ["Action: delivered"]);
  assert.match(report, /\r\nOriginal-Envelope-Id: QQ\+31\r\n/);
  assert.match(
    report,
    /\r\nOriginal-Recipient: rfc822;Robert\+x@here\.test\r\nFinal-Recipient: rfc822;bob@here\.test\r\n/,
  );
  assert.match(report, /Subject: told\r\n/);
  assert.doesNotMatch(report, /\r\nbody\r\n/, "no failure: the header section alone (RFC 3461 §6.2)");
  await send(node.ports.mx, "<>", "<bob@here.test> NOTIFY=SUCCESS");
  await node.mailArrives("bob", 2);
  await emptied(node);
  assert.equal((await node.mail("ada")).length, 1, "no report for what nobody sent");
});

test("the last Postern reports, not those before it; where the next server has no DSN the one before it does", async () => {
  await using other = await OtherServer.start();
  const [back = 0] = await freePorts(1);
  await using last = await startNode({ hostname: "last.test", domains: ["there.test"], config: route("*", back) });
  await using first = await startNode({
    hostname: "first.test",
    domains: ["here.test"],
    mxPort: back,
    config: `${RELAY}${route("there.test", last.ports.mx)}${route("other.test", other.port)}`,
  });
  const asked = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B@x.test";
  await send(back, "<ada@here.test> RET=HDRS ENVID=far", `<bob@there.test> ${asked}`);
  const [delivered = ""] = await first.mailArrives("ada", 1);
  assert.deepEqual(actionsOf(delivered), ["Action: delivered"]);
  assert.match(delivered, /\r\nReporting-MTA: dns; last\.test\r\nOriginal-Envelope-Id: far\r\n/);
  assert.match(delivered, /\r\nOriginal-Recipient: rfc822;B@x\.test\r\n/);
  await send(back, "<eve@here.test> ENVID=out", `<bob@other.test> ${asked}`, "<sam@other.test>");
  const [relayed = ""] = await first.mailArrives("eve", 1);
  assert.deepEqual(actionsOf(relayed), ["Action: relayed"]);
  assert.match(relayed, /\r\nReporting-MTA: dns; first\.test\r\n/);
  assert.match(relayed, /\r\nRemote-MTA: dns; 127\.0\.0\.1\r\nDiagnostic-Code: smtp; 250/);
  assert.doesNotMatch(other.lines.join("\n"), /NOTIFY|ORCPT|ENVID/, "RFC 3461 §5.2.2 (a)");
  assert.equal((await first.mail("ada")).length, 1);
});

test("a delay is told once, a deadline ends in a return", async () => {
  const [closed = 0] = await freePorts(1);
  const queue = `[queue]\nretry_first = "1s"\nretry_longest = "1s"\nwarn_after = "2s"\n`;
  await using node = await startNode({ domains: ["here.test"], config: `${RELAY}${queue}${route("*", closed)}` });
  await send(node.ports.mx, "<ada@here.test>", "<a@gone.test>", "<b@gone.test> NOTIFY=FAILURE");
  await send(node.ports.mx, "<eve@here.test> BY=2;R", "<a@gone.test>");
  await send(node.ports.mx, "<sam@here.test> BY=3;N", "<a@gone.test>");
  const [delay = ""] = await node.mailArrives("ada", 1);
  assert.deepEqual(actionsOf(delay), ["Action: delayed"]);
  assert.match(delay, /\r\nFinal-Recipient: rfc822;a@gone\.test\r\n/);
  assert.match(delay, /\r\nWill-Retry-Until: /);
  const [returned = ""] = await node.mailArrives("eve", 1);
  assert.deepEqual(actionsOf(returned), ["Action: failed"]);
  assert.match(returned, /\r\nStatus: 5\.4\.7\r\n/);
  assert.match(returned, /\r\nDeliver-By-Date: /);
  const [late = ""] = await node.mailArrives("sam", 1);
  assert.deepEqual(actionsOf(late), ["Action: delayed"]);
  assert.match(late, /\r\nStatus: 4\.4\.7\r\n/);
  await sleep(2500);
  for (const user of ["ada", "eve", "sam"]) assert.equal((await node.mail(user)).length, 1, user);
});

test("terms and priority go on to who knows them, and stay here otherwise", async () => {
  await using knows = await OtherServer.start("DELIVERBY", "MT-PRIORITY", "DSN");
  await using plain = await OtherServer.start("DSN");
  await using node = await startNode({
    domains: ["here.test"],
    config: `${RELAY}${route("knows.test", knows.port)}${route("plain.test", plain.port)}`,
  });
  await send(node.ports.mx, "<ada@here.test> BY=500;R MT-PRIORITY=4", "<a@knows.test>");
  await emptied(node);
  assert.match(knows.lines.find((line) => line.startsWith("MAIL")) ?? "", / BY=(?:499|500);R MT-PRIORITY=4$/);
  await send(node.ports.mx, "<ada@here.test> BY=500;R", "<a@plain.test>");
  const [failed = ""] = await node.mailArrives("ada", 1);
  assert.match(failed, /\r\nAction: failed\r\nStatus: 5\.3\.3\r\n/);
  await send(node.ports.mx, "<eve@here.test> BY=500;N MT-PRIORITY=-4", "<a@plain.test>");
  const [relayed = ""] = await node.mailArrives("eve", 1);
  assert.deepEqual(actionsOf(relayed), ["Action: relayed"], "from here on nobody watches the time");
  const told = plain.lines.filter((line) => /^(?:MAIL|RCPT)/.test(line));
  assert.equal(told.length, 2, "nothing of the message that had to come back");
  assert.doesNotMatch(told[0] ?? "", / BY=|MT-PRIORITY/);
  assert.match(told[1] ?? "", / NOTIFY=FAILURE,DELAY$/);
});

test("who is not known cannot go before others, and hears of it", async () => {
  await using node = await startNode({ domains: ["here.test"] });
  assert.match(await send(node.ports.mx, "<x@far.test> MT-PRIORITY=3", "<bob@here.test>"), /^250 2\.3\.6 0 /);
  const [mail = ""] = await node.mailArrives("bob", 1);
  assert.match(mail.replace(/\r\n\t/g, " "), /^Received: .* PRIORITY 0; /m);
});

test("users have mail held back until they want it to go; nobody else may ask for that", async () => {
  await using node = await startNode({ domains: ["here.test"], users: { "ada@here.test": "secret" } });
  assert.match(await send(node.ports.mx, "<ada@here.test> HOLDFOR=9", "<bob@here.test>"), /^555 5\.5\.4/);
  const talk = await Talk.open(node.ports.submission);
  await talk.say("EHLO client.test");
  await talk.secure();
  const offered = (await talk.say("EHLO client.test")) ?? "";
  assert.match(offered, /^250[- ]FUTURERELEASE 2592000 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/m);
  const credentials = Buffer.from("\0ada@here.test\0secret").toString("base64");
  assert.match((await talk.say(`AUTH PLAIN ${credentials}`)) ?? "", /^235/);
  assert.match((await talk.say("MAIL FROM:<ada@here.test> HOLDFOR=9999999")) ?? "", /^501 5\.5\.4/);
  assert.match((await talk.say("MAIL FROM:<ada@here.test> HOLDFOR=9 HOLDFOR=9")) ?? "", /^501 5\.5\.4/);
  const began = Date.now();
  const taken = await transaction(talk, "<ada@here.test> HOLDFOR=3", ["<bob@here.test> NOTIFY=SUCCESS"]);
  assert.match(taken, /^250 2\.0\.0/);
  talk.close();
  const listed = await node.command("queue", "list");
  assert.match(listed.stdout, / waiting until \d{4}-/);
  await node.command("queue", "retry", "--all");
  assert.deepEqual(await node.mail("bob"), []);
  await node.mailArrives("bob", 1);
  assert.ok(Date.now() - began >= 3000, `${Date.now() - began}`);
  const [report = ""] = await node.mailArrives("ada", 1);
  assert.match(report, /\r\nFuture-Release-Request: for;3\r\n/);
});

test("what was owed to a sender survives a kill", async () => {
  const [closed = 0] = await freePorts(1);
  const queue = `[queue]\nretry_first = "1s"\nretry_longest = "1s"\nwarn_after = "1s"\n`;
  const config = `${RELAY}${queue}${route("gone.test", closed)}`;
  await using node = await startNode({ domains: ["here.test"], config });
  await send(node.ports.mx, "<ada@here.test>", "<a@gone.test>");
  await node.mailArrives("ada", 1);
  // Before its delivery is in the queue file a kill repeats it, as it may.
  await logged(node, "queue.delivered", { recipient: "ada@here.test" });
  await node.kill("SIGKILL");
  await node.start();
  await sleep(2500);
  assert.equal((await node.mail("ada")).length, 1, "told before it was killed, and not again");
});
