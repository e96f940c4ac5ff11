import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { configJsonSchema } from "../config/index.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const CONFIG = `hostname = "a.test"
[[listener]]
address = "127.0.0.1:0"
service = "mx"
tls = "none"
[[domain]]
name = "a.test"
deliver = "maildir:mail/{user}"
`;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

let folder = "";
let config = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "postern-cli-"));
  config = join(folder, "postern.toml");
  writeFileSync(config, CONFIG);
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the command line to its end. */
function postern(args: readonly string[], input = ""): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, ...args],
      { cwd: folder, timeout: 20_000 },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, stdout, stderr });
      },
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/** One plain line on standard error: never a trace, never two lines. */
function assertOneLine({ stderr }: Ended): void {
  assert.match(stderr, /^postern: [^\n]+\n$/);
  assert.doesNotMatch(stderr, /^\s+at /m);
}

test("help and version are no errors; each command has help", async () => {
  const version = await postern(["--version"]);
  assert.equal(version.code, 0);
  assert.match(version.stdout, /^\d+\.\d+\.\d+/);
  const help = await postern(["--help"]);
  assert.equal(help.code, 0);
  const words = ["serve", "check", "start", "user", "send", "queue", "config", "demo"];
  for (const word of words) assert.match(help.stdout, new RegExp(`^  ${word}\\b`, "m"));
  const helps = await Promise.all(words.map((word) => postern([word, "--help"])));
  assert.deepEqual(
    helps.map(({ code, stderr }) => [code, stderr]),
    words.map(() => [0, ""]),
  );
});

test("a wrong command line is one line and exit code 2", async () => {
  const wrong = [
    ["frob"],
    ["queue", "lst"],
    ["queue", "list", "--limit", "0"],
    ["queue", "retry"],
    ["queue", "hold", "01", "--all"],
    ["user", "add", "alice"],
    ["send", "--server", "localhost", "--from", "a@a.test", "--to", "b@b.test"],
    ["send", "--server", "localhost:25", "--from", "a@a.test"],
    ["send", "--server", "localhost:25", "--from", "a@a.test", "--to", "b@b.test", "--user", "a"],
    ["send", "--server", "localhost:25", "--from", "a@a.test", "--to", "b@b.test", "--hello", "a\r\nMAIL"],
    ["send", "--server", "localhost:25", "--from", "a@a.test", "--to", "b@b.test", "--token-stdin"],
    ["send", "--server", "localhost:25", "--from", "a@a.test", "--to", "b@b.test", "--client-certificate", "c"],
    ["send", "--server", "localhost:25", "--from", "a@a.test", "--to", "b@b.test", "--mechanism", "PLAIN"],
    ["send", "--server", "localhost:25", "--from", "a@a.test", "--to", "b@b.test", "--mechanism", "CRAM-MD5"],
  ];
  for (const ended of await Promise.all(wrong.map((args) => postern(args)))) {
    assert.equal(ended.code, 2);
    assert.equal(ended.stdout, "");
    assertOneLine(ended);
  }
});

test("every problem of a configuration is a line with its place, and the exit code is 1", async () => {
  writeFileSync(join(folder, "bad.toml"), `${CONFIG}[limit]\n[dns]\ntrust_ad = 1\n`);
  for (const command of [["check"], ["serve"], ["queue", "list"], ["user", "list"]]) {
    const ended = await postern([...command, "--config", "bad.toml"]);
    assert.equal(ended.code, 1);
    assert.deepEqual(ended.stderr.match(/bad\.toml:\d+/g), ["bad.toml:9", "bad.toml:11"]);
  }
  const missing = await postern(["check", "--config", "none.toml"]);
  assert.equal(missing.code, 1);
  assertOneLine(missing);
});

test("the reference and the schema are printed", async () => {
  const [schema, reference] = await Promise.all([postern(["config", "schema"]), postern(["config", "reference"])]);
  assert.deepEqual(JSON.parse(schema.stdout), configJsonSchema());
  assert.match(reference.stdout, /^# /);
});

test("the queue of a server that never ran is empty", async () => {
  const [list, show, retry] = await Promise.all([
    postern(["queue", "list", "--json", "--config", config]),
    postern(["queue", "show", "01234567890", "--config", config]),
    postern(["queue", "retry", "--all", "--config", config]),
  ]);
  assert.deepEqual(JSON.parse(list.stdout), []);
  assert.equal(show.code, 1);
  assertOneLine(show);
  assert.equal(retry.code, 0);
});

test("users are added, listed and removed; the first line is the password", async () => {
  const added = await postern(["user", "add", "alice", "--password-stdin", "--config", config], "a long secret\r\n");
  assert.deepEqual([added.code, added.stderr], [0, ""]);
  assert.deepEqual(JSON.parse((await postern(["user", "list", "--json", "--config", config])).stdout), ["alice"]);
  const empty = await postern(["user", "add", "bob", "--password-stdin", "--config", config], "\n");
  assert.equal(empty.code, 1);
  assertOneLine(empty);
  assert.equal((await postern(["user", "remove", "alice", "--config", config])).code, 0);
  const again = await postern(["user", "remove", "alice", "--config", config]);
  assert.equal(again.code, 1);
  assertOneLine(again);
});

test("users that cannot be reached are trouble of the operator's, and no bug", async () => {
  writeFileSync(join(folder, "elsewhere.toml"), `${CONFIG}[auth]\nsource = "https://id.test/"\n`);
  writeFileSync(join(folder, "file.toml"), `data_dir = "file.toml"\n${CONFIG}`);
  for (const file of ["elsewhere.toml", "file.toml"]) {
    const ended = await postern(["user", "list", "--config", file]);
    assert.equal(ended.code, 1);
    assertOneLine(ended);
    assert.doesNotMatch(ended.stderr, /POSTERN_DEBUG/);
  }
});

test("sending where nothing listens is one line", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  await new Promise((resolve) => server.close(resolve));
  const args = ["send", "--server", `127.0.0.1:${port}`, "--tls", "none", "--from", "a@a.test", "--to", "b@b.test"];
  const ended = await postern(args, "Subject: x\n\nx\n");
  assert.equal(ended.code, 1);
  assertOneLine(ended);
  const badAddress = await postern([...args.slice(0, -1), "not an address"], "x\n");
  assert.equal(badAddress.code, 1);
  assertOneLine(badAddress);
});

test("a port that is taken, a folder that cannot be, a certificate that is none: one line each", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  writeFileSync(
    join(folder, "taken.toml"),
    CONFIG.replace(":0", `:${port}`).replace('"a.test"\n', '"a.test"\ndata_dir = "d2"\n'),
  );
  writeFileSync(join(folder, "file.toml"), CONFIG.replace('"a.test"\n', '"a.test"\ndata_dir = "postern.toml"\n'));
  const tls = `[tls]\ncertificate = "postern.toml"\nprivate_key = "none.pem"\n`;
  writeFileSync(
    join(folder, "cert.toml"),
    CONFIG.replace('"none"', '"starttls"').replace('"a.test"\n', '"a.test"\ndata_dir = "d3"\n') + tls,
  );
  try {
    for (const file of ["taken.toml", "file.toml", "cert.toml"]) {
      for (const command of ["serve", "check"]) {
        const ended = await postern([command, "--config", file]);
        assert.equal(ended.code, 1, `${command} ${file}`);
        assertOneLine(ended);
      }
    }
    const nowhere = await postern(["start", "--config", join("postern.toml", "first.toml")]);
    assert.equal(nowhere.code, 1, "a first start below something that is no folder");
    assertOneLine(nowhere);
  } finally {
    server.close();
  }
});

test("output that nobody reads is no failure", async () => {
  const child = spawn(process.execPath, [MAIN, "config", "reference"], { stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdout.destroy();
  const [code] = await once(child, "close");
  assert.deepEqual([code, stderr], [0, ""]);
});

test("a first start makes what it needs, says how to send, and delivers; a second changes nothing", async (t) => {
  const home = mkdtempSync(join(folder, "home-"));
  // The ports of the first configuration may be taken where this runs, so the second start has free ones.
  const first = await started(t, home, []);
  const made = join(home, "postern.toml");
  assert.ok(existsSync(made), first.text);
  assert.equal(statSync(join(home, "data")).mode & 0o777, 0o700);
  assert.equal(statSync(join(home, "data", "tls", "key.pem")).mode & 0o777, 0o600);
  assert.equal(statSync(join(home, "data", "first-user.txt")).mode & 0o777, 0o600);
  await first.stop();
  const freed = readFileSync(made, "utf8").replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:0");
  writeFileSync(made, freed);
  const second = await started(t, home, ["Postern is ready"]);
  assert.equal(readFileSync(made, "utf8"), freed);
  const port = /localhost:(\d+)/.exec(second.text)?.[1] ?? "";
  const password = readFileSync(join(home, "data", "first-user.txt"), "utf8");
  const user = "demo@localhost";
  const sent = await postern(
    ["send", "--server", `localhost:${port}`, "--ca", join(home, "data", "tls", "cert.pem"), "--user", user].concat([
      "--password-stdin",
      "--from",
      user,
      "--to",
      user,
    ]),
    `${password}Subject: Hello\n\nIt works.\n`,
  );
  assert.deepEqual([sent.code, sent.stderr], [0, ""]);
  const mail = join(home, "data", "mail", "demo", "new");
  const arrived = () => (existsSync(mail) ? readdirSync(mail) : []);
  for (let tries = 0; tries < 400 && arrived().length === 0; tries++)
    await new Promise((resolve) => setTimeout(resolve, 25));
  const [file = "none arrived"] = arrived();
  assert.match(readFileSync(join(mail, file), "utf8"), /Subject: Hello\r?\n\r?\nIt works\.\r?\n$/);
  assert.equal(await second.stop(), 0);
});

test("the demo plays the journey, ends by itself and leaves nothing", async () => {
  const temporary = mkdtempSync(join(folder, "tmp-"));
  const child = spawn(process.execPath, [MAIN, "demo"], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0, text);
  // The submission, the relay and the file: each hop names its TLS version, the last two in the trace fields as well.
  assert.ok((text.match(/TLSv1\.3/g)?.length ?? 0) >= 4, text);
  assert.match(text, /with ESMTPS id/);
  assert.match(text, /with ESMTPSA id/);
  assert.match(text, /^ {3}Hello Bob!$/m);
  assert.deepEqual(readdirSync(temporary), []);
});

/** Starts in `home`; waits for each of `words` in the output, or for the end of the process. */
async function started(t: TestContext, home: string, words: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, "start"], { cwd: home, stdio: ["ignore", "pipe", "pipe"] });
  // A test that fails half-way must not leave a server behind, for which the runner would wait.
  t.after(() => child.kill("SIGKILL"));
  const output = { text: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output.text += text;
    });
  }
  const ended = once(child, "close");
  const seen = async () => {
    const wanted = words.length > 0 ? words : ["Postern is ready", "already taken"];
    while (!wanted.some((word) => output.text.includes(word))) {
      if (child.exitCode !== null) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await seen();
  return {
    get text() {
      return output.text;
    },
    async stop(): Promise<number | null> {
      child.kill("SIGTERM");
      await ended;
      return child.exitCode;
    },
  };
}
