// The daemon as a process: signals, certificates, and everything that keeps it from starting.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "../../src/testing/index.ts";
import { postern, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

test("SIGTERM lets a running transaction end, turns idle sessions out with 421, and closes the queue clean", async () => {
  await using node = await startNode({ domains: ["here.test"] });
  const idle = await Talk.open(node.ports.mx);
  await idle.say("EHLO idle.test");
  const busy = await Talk.open(node.ports.mx);
  for (const line of ["EHLO busy.test", "MAIL FROM:<a@busy.test>", "RCPT TO:<last@here.test>", "DATA"])
    await busy.say(line);
  busy.send("Subject: last\r\n\r\nfirst half, ");
  const ended = node.kill("SIGTERM");
  assert.match((await idle.reply()) ?? "", /^421 4\.3\.2 /);
  assert.equal(await idle.reply(), null);
  await sleep(50);
  await assert.rejects(
    Talk.open(node.ports.mx)
      .then((talk) => talk.say("NOOP"))
      .then((said) => assert.ok(said !== null)),
  );
  busy.send("second half\r\n.\r\n");
  assert.match((await busy.reply()) ?? "", /^250 2\.0\.0 /);
  assert.equal(await ended, 0);
  await node.start();
  const [file = ""] = await node.mailArrives("last", 1);
  assert.match(file, /first half, second half\r\n$/);
});

test("SIGHUP puts a new certificate into use and drops nobody", async () => {
  await using node = await startNode({ domains: ["here.test"] });
  const old = await Talk.open(node.ports.mx);
  await old.say("EHLO old.test");
  const before = (await old.secure()).getPeerCertificate().fingerprint256;
  await old.say("EHLO old.test");

  const pair = await makeCertificate({ names: ["node.test"] });
  await writeFile(join(node.folder, "cert.pem"), pair.certificate);
  await writeFile(join(node.folder, "key.pem"), pair.privateKey);
  process.kill(node.pid, "SIGHUP");
  let after = before;
  for (let attempt = 0; attempt < 100 && after === before; attempt++) {
    await sleep(20);
    const talk = await Talk.open(node.ports.mx);
    await talk.say("EHLO new.test");
    after = (await talk.secure()).getPeerCertificate().fingerprint256;
    talk.close();
  }
  assert.notEqual(after, before);
  assert.match((await old.say("NOOP")) ?? "", /^250 /);

  await writeFile(join(node.folder, "key.pem"), "not a key");
  process.kill(node.pid, "SIGHUP");
  await sleep(200);
  const talk = await Talk.open(node.ports.mx);
  await talk.say("EHLO still.test");
  assert.equal((await talk.secure()).getPeerCertificate().fingerprint256, after, "a broken one changes nothing");
  talk.close();
  old.close();
});

test("SNI chooses among several certificates", async () => {
  const other = await makeCertificate({ names: ["other.test", "*.wild.test"] });
  await using node = await startNode({
    config: `[[tls.additional]]\ncertificate = "other.pem"\nprivate_key = "other-key.pem"\n`,
    files: { "other.pem": other.certificate, "other-key.pem": other.privateKey },
  });
  for (const [name, subject] of [
    ["other.test", "other.test"],
    ["a.wild.test", "other.test"],
    ["node.test", "node.test"],
    ["unknown.test", "node.test"],
    [undefined, "node.test"],
  ] as const) {
    const talk = await Talk.open(node.ports.mx);
    await talk.say("EHLO client.test");
    assert.equal((await talk.secure(name)).getPeerCertificate().subject.CN, subject, name);
    talk.close();
  }
});

test("what keeps it from starting is said in one line each, with exit code 1", async () => {
  await using node = await startNode({ domains: ["here.test"] });
  const oneLine = async (expected: RegExp, ...args: readonly string[]): Promise<void> => {
    const ran = await postern(args);
    assert.equal(ran.code, 1, ran.stdout + ran.stderr);
    assert.match(ran.stderr, expected);
    assert.doesNotMatch(ran.stderr, /\n\s+at /, "a stack trace");
  };
  await oneLine(/another Postern is running/, "serve", "--config", node.config);

  const config = join(node.folder, "second.toml");
  const text = (dataDir: string, port: number, certificate = "cert.pem"): string =>
    `hostname = "second.test"\ndata_dir = "${dataDir}"\n[[listener]]\naddress = "127.0.0.1:${port}"\nservice = "mx"\n` +
    `[tls]\ncertificate = "${certificate}"\nprivate_key = "key.pem"\n`;
  await writeFile(config, text("other-data", node.ports.mx));
  await oneLine(new RegExp(`127\\.0\\.0\\.1:${node.ports.mx} is already taken`), "serve", "--config", config);
  await oneLine(new RegExp(`127\\.0\\.0\\.1:${node.ports.mx} is already taken`), "check", "--config", config);

  await writeFile(config, text("other-data", 0, "missing.pem"));
  await oneLine(/missing\.pem cannot be read \(ENOENT\)/, "serve", "--config", config);
  await writeFile(config, text("cert.pem", 0));
  await oneLine(/data_dir .*cert\.pem/, "serve", "--config", config);
  await writeFile(config, `${text("other-data", 0)}[limit]\n`);
  await oneLine(/second\.toml:\d+.*limit/, "check", "--config", config);
  await oneLine(/nowhere\.toml/, "serve", "--config", join(node.folder, "nowhere.toml"));
  assert.equal((await node.command("check")).code, 0);
});

test("a daemon of the tests runs with the options that the checkout and the package give Node", async (t) => {
  if (process.platform !== "linux") return t.skip("only Linux tells how a process was started");
  const [, option = ""] =
    /^#!.* (--\S+)/.exec(await readFile(new URL("../../src/cli/main.ts", import.meta.url), "utf8")) ?? [];
  assert.match(await readFile(new URL("../../postern", import.meta.url), "utf8"), new RegExp(`"\\$node" ${option} `));
  await using node = await startNode();
  const words = (await readFile(`/proc/${node.pid}/cmdline`, "utf8")).split("\0");
  assert.ok(words.includes(option), words.join(" "));
});
