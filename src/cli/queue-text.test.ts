import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageDetail, RecipientView } from "../admin/index.ts";
import { historyLines, messageLines, queueTable } from "./queue-text.ts";
import { jsonArray, printJson, splitPassword, table } from "./terminal.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");

function recipient(given: Partial<RecipientView>): RecipientView {
  return {
    index: 0,
    address: "b@b.test",
    state: "waiting",
    attempts: 1,
    nextAttempt: "2026-01-02T00:05:00Z",
    rerouted: null,
    last: {
      kind: "deferred",
      text: "no\u001b[31m route",
      status: "4.4.1",
      host: "mx.b.test",
      address: null,
      tls: null,
      rule: "opportunistic",
    },
    ...given,
  };
}

function message(given: Partial<MessageDetail>): MessageDetail {
  return {
    id: "01234567890",
    sender: "",
    receivedAt: "2026-01-01T00:00:00Z",
    expiresAt: "2026-01-06T00:00:00Z",
    size: 2048,
    held: false,
    priority: 0,
    releaseAt: null,
    deliverBy: null,
    origin: { service: "mx", sessionId: null, address: "192.0.2.1", hello: "x", identity: null, tls: null },
    recipients: [recipient({})],
    story: [{ at: "2026-01-01T00:00:00Z", recipient: null, event: "accepted", text: "2048 octets\u0007" }],
    ...given,
  };
}

test("one row a waiting recipient, with when and why", () => {
  const delivered = recipient({ index: 1, state: "delivered", address: "gone@b.test", nextAttempt: null });
  const [head, row, ...rest] = queueTable(NOW)([message({ recipients: [recipient({}), delivered] })]);
  assert.match(head ?? "", /^ID +AGE +SIZE +SENDER +RECIPIENT +NEXT +REASON$/);
  assert.match(row ?? "", /^01234567890 +1d +2\.0 KiB +<> +b@b\.test +in 5m +4\.4\.1 no\\u001b\[31m route$/);
  assert.deepEqual(rest, []);
});

test("parts of a listing are one table: one head, and columns that go on", () => {
  const linesOf = queueTable(NOW);
  const wide = recipient({ address: "somebody.with.a.long.name@b.test" });
  const first = linesOf([message({ recipients: [wide] })]);
  const second = linesOf([message({})]);
  assert.deepEqual([first.length, second.length], [2, 1]);
  assert.equal(second[0]?.indexOf("in 5m"), first[1]?.indexOf("in 5m"));
});

test("an array that is written part by part reads as one that is written at once", (context) => {
  let written = "";
  context.mock.method(process.stdout, "write", (text: string) => {
    written += text;
    return true;
  });
  const output = (write: () => void): string => {
    written = "";
    write();
    return written;
  };
  for (const parts of [[], [[]], [[{ a: ["x\n", {}] }], [], [1, "two"]]]) {
    const array = output(() => {
      const { add, end } = jsonArray();
      for (const part of parts) add(part);
      end();
    });
    assert.equal(
      array,
      output(() => printJson(parts.flat())),
    );
  }
});

test("a held message says so, a due one is due now", () => {
  assert.match(queueTable(NOW)([message({ held: true })])[1] ?? "", / held /);
  const due = message({ recipients: [recipient({ nextAttempt: "2026-01-01T23:59:59Z", last: null })] });
  assert.match(queueTable(NOW)([due])[1] ?? "", / now$/);
});

test("mail for later says until when, and a detail tells what else was asked for", () => {
  const releaseAt = "2026-01-03T00:00:00.000Z";
  const asked = message({ releaseAt, priority: -3, deliverBy: { at: "2026-01-04T00:00:00.000Z", late: "return" } });
  assert.match(queueTable(NOW)([asked])[1] ?? "", / waiting until 2026-01-03T00:00:00\.000Z /);
  assert.match(queueTable(Date.parse(releaseAt))([asked])[1] ?? "", / now /);
  const detail = messageLines(asked).join("\n");
  assert.match(detail, /^waits +until 2026-01-03/m);
  assert.match(detail, /^deliver by +2026-01-04T00:00:00\.000Z, else return$/m);
  assert.match(detail, /^priority +-3$/m);
});

test("a message's detail names the status of the last outcome", () => {
  assert.ok(messageLines(message({})).some((line) => line.startsWith("  deferred 4.4.1: ")));
});

test("no text of a peer reaches the terminal unescaped", () => {
  for (const line of [...queueTable(NOW)([message({})]), ...messageLines(message({}))]) {
    assert.doesNotMatch(line, /[\u0000-\u001f\u007f]/);
  }
});

test("columns are as wide as their widest cell", () => {
  assert.deepEqual(
    table([
      ["a", "bb", ""],
      ["ccc", "d", "e"],
    ]),
    ["a    bb", "ccc  d   e"],
  );
});

test("the password is the first line, the rest is the message", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["secret\nSubject: x\n", "secret", "Subject: x\n"],
    ["secret\r\n\r\nx", "secret", "\r\nx"],
    ["secret", "secret", ""],
    ["\nx", "", "x"],
    ["", "", ""],
    ["pässword \nx", "pässword ", "x"],
  ];
  for (const [input, password, rest] of cases) {
    const split = splitPassword(Buffer.from(input));
    assert.deepEqual([split.password, Buffer.from(split.rest).toString()], [password, rest]);
  }
});

test("where no session stood nothing is called clear text, and a mailbox here needs none", () => {
  const last = recipient({}).last;
  assert.ok(last !== null);
  const shown = (change: Partial<typeof last>) =>
    messageLines(message({ recipients: [recipient({ last: { ...last, ...change } })] })).find((line) =>
      /^ {2}by /.test(line),
    );
  assert.equal(shown({}), "  by mx.b.test, no session; rule: opportunistic");
  assert.equal(shown({ address: "192.0.2.1" }), "  by mx.b.test (192.0.2.1), clear text; rule: opportunistic");
  const tls = "TLSv1.3 TLS_AES_256_GCM_SHA384";
  assert.equal(shown({ address: "192.0.2.1", tls }), `  by mx.b.test (192.0.2.1), ${tls}; rule: opportunistic`);
  assert.equal(shown({ kind: "delivered", status: null, host: "maildir", rule: "local" }), "  by maildir; rule: local");
  assert.equal(shown({ host: null }), undefined);
});

test("history tells of each recipient when, how, where and by which rule", () => {
  const outcome = {
    kind: "failed",
    text: "no\u0007body",
    status: "5.1.1",
    host: "mx",
    address: "192.0.2.1",
    tls: null,
  } as const;
  const entry = {
    id: "01234567890",
    sender: "",
    recipient: "b@b.test",
    attempts: 2,
    outcome: { ...outcome, rule: "off" },
  };
  const at = "2026-01-01T00:00:00Z";
  assert.deepEqual(historyLines([{ ...entry, receivedAt: at, finishedAt: at }]), [
    "2026-01-01T00:00:00Z 01234567890 <> to b@b.test, 2 attempts",
    "  failed 5.1.1: no\\u0007body",
    "  by mx (192.0.2.1), clear text; rule: off",
  ]);
  assert.equal(historyLines([]).length, 1);
});
