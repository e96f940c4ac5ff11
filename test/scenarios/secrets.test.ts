// No password in anything that is written: what the daemon says, logs and stores at level debug, however somebody logs in or fails to.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ClientAuth, createClient } from "../../src/client/index.ts";
import { type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

/** Made up of words that stand nowhere else. */
const RIGHT = "zwiebel-quartz-9417";
const WRONG = "pfirsich-onyx-2386";
const NEW = "rettich-topas-5501";
const TOKEN = "mF9tokenB5f4JqMsecret";

let node: Node;
const replies: string[] = [];
const outputs: string[] = [];

before(async () => {
  node = await startNode({
    domains: ["here.test"],
    users: { ada: RIGHT },
    config: '[relay]\nnetworks = []\n[auth]\nmechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]\n',
  });
});
after(() => node?.[Symbol.asyncDispose]());

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** Says the lines within TLS, and keeps what is answered. */
async function converse(...lines: readonly string[]): Promise<void> {
  const talk = await Talk.openSecure(node.ports.submissions);
  for (const line of ["EHLO client.test", ...lines]) {
    const reply = await talk.say(line);
    if (reply === null) break;
    replies.push(reply);
  }
  talk.close();
}

async function login(auth: ClientAuth): Promise<boolean> {
  const at = { host: "127.0.0.1", port: node.ports.submissions, tls: "implicit", verify: "nothing" } as const;
  const client = createClient({ ...at, auth });
  const verified = await client.verify();
  await client.close();
  return verified.ok;
}

/** Every form in which a secret could be written by accident. */
function forms(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  // Within base64 of `\0ada\0SECRET` it looks otherwise at each of the three ways to begin.
  const inner = [0, 1, 2].map((skipped) => base64(`${"x".repeat(skipped)}${secret}`).slice(4, -4));
  return [
    secret,
    encodeURIComponent(secret),
    bytes.toString("hex"),
    bytes.toString("base64url").slice(0, -2),
    ...inner,
  ];
}

async function everythingStored(): Promise<readonly (readonly [file: string, content: string])[]> {
  const names = await readdir(node.folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return await Promise.all(files.map(async (file) => [file, await readFile(file, "latin1")] as const));
}

test("no password is written anywhere, by whatever mechanism and with whatever fault", async () => {
  for (const mechanism of ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]) {
    assert.equal(await login({ user: "ada", password: RIGHT, mechanisms: [mechanism] }), true, mechanism);
    assert.equal(await login({ user: "ada", password: WRONG, mechanisms: [mechanism] }), false, mechanism);
  }
  await converse(`AUTH PLAIN ${base64(`\0ada\0${WRONG}`)}`, `AUTH PLAIN ${base64(`root\0ada\0${RIGHT}`)}`);
  await converse("AUTH PLAIN", `${base64(`\0ada\0${WRONG}`)}!`, `AUTH PLAIN ${WRONG}`, "AUTH PLAIN", WRONG);
  await converse("AUTH LOGIN", base64("ada"), base64(WRONG), "AUTH LOGIN", base64(WRONG), base64("ada"));
  await converse("AUTH LOGIN", base64("ada"), `${base64(WRONG)}=`, `AUTH LOGIN ${base64("ada")}`, "*", base64(WRONG));
  await converse("AUTH PLAIN", "=", `AUTH PLAIN ${base64(WRONG)}`, `AUTH PLAIN = ${base64(WRONG)}`);
  await converse(`AUTH SCRAM-SHA-256 ${base64(`n,,n=ada,r=nonce`)}`, base64(`c=biws,r=nonce,p=${base64(WRONG)}`));
  await converse(`AUTH XOAUTH2 ${base64(`user=ada\u0001auth=Bearer ${TOKEN}\u0001\u0001`)}`, TOKEN);
  await converse(`AUTH OAUTHBEARER ${base64(`n,a=ada,\u0001auth=Bearer ${TOKEN}\u0001\u0001`)}`, `AUTH ${WRONG}`);
  await converse(`XCLIENT LOGIN=${WRONG}`, `AUTH PLAIN ${base64(`\0ada\0${WRONG}`.repeat(700))}`);

  const clear = await Talk.open(node.ports.submission);
  for (const line of ["EHLO client.test", `AUTH PLAIN ${base64(`\0ada\0${RIGHT}`)}`, "AUTH LOGIN", base64(RIGHT)]) {
    const reply = await clear.say(line);
    if (reply === null) break;
    replies.push(reply);
  }
  clear.close();

  const app = await node.command("user", "app-password", "add", "ada", "phone");
  const made = app.stdout.trim();
  assert.equal(await login({ user: "ada", password: made, mechanisms: ["PLAIN"] }), true);
  for (const [args, stdin] of [
    [["user", "passwd", "ada", "--password-stdin"], NEW],
    [["user", "passwd", "eve", "--password-stdin"], NEW],
    [["user", "add", "ada", "--password-stdin"], NEW],
    [["user", "add", "bob", "--password-stdin"], `${NEW}\u0001`],
    [["user", "list", "--long"], ""],
    [["check"], ""],
  ] as const) {
    const ran = await node.command(...args, { stdin: `${stdin}\n` });
    outputs.push(ran.stdout, ran.stderr);
  }
  assert.equal(await login({ user: "ada", password: NEW, mechanisms: ["PLAIN"] }), true);
  await node.kill("SIGTERM");

  const logged = node.output;
  assert.ok(logged.includes("intake.auth.refused"), "the failures are in the log");
  assert.ok(replies.some((reply) => reply.startsWith("535")) && replies.some((reply) => reply.startsWith("530")));
  const written = [
    ["its output", logged],
    ["its replies", replies.join("\n")],
    ["commands", outputs.join("\n")],
    ...(await everythingStored()),
  ] as const;
  assert.ok(written.some(([name]) => name.endsWith("users.sqlite")));
  for (const [name, content] of written) {
    for (const secret of [RIGHT, WRONG, NEW, TOKEN, made, made.replaceAll("-", "")]) {
      for (const form of forms(secret)) {
        const lines = content.split("\n").filter((line) => line.includes(form));
        assert.deepEqual(lines.slice(0, 3), [], `${name} holds ${form}`);
      }
    }
  }
});

test("the search would find a secret in the forms in which it travels", () => {
  for (const carrier of [`\0ada\0${RIGHT}`, RIGHT, `x${RIGHT}y`, `\0someone\0${RIGHT}`]) {
    assert.ok(
      forms(RIGHT).some((form) => base64(carrier).includes(form)),
      JSON.stringify(carrier),
    );
  }
  assert.ok(forms(RIGHT).some((form) => Buffer.from(RIGHT).toString("hex").includes(form)));
});
