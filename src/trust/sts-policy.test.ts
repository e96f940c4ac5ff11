import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DAY, SECOND } from "../base/index.ts";
import {
  formatStsPolicy,
  formatStsRecord,
  matchesSts,
  parseStsPolicy,
  parseStsRecords,
  policyId,
} from "./sts-policy.ts";

const idOf = (...records: readonly string[]): string | null => {
  const parsed = parseStsRecords(records);
  return parsed.ok ? parsed.value : null;
};

test("a TXT record tells the id of the policy", () => {
  assert.equal(idOf("v=STSv1; id=20160831085700Z;"), "20160831085700Z");
  assert.equal(idOf("v=STSv1;id=a"), "a");
  assert.equal(idOf("v=STSv1 ;\tid=a ; "), "a");
  assert.equal(idOf("v=STSv1; other=x:y/z~!; id=a; more.one_2-3=b"), "a");
  assert.equal(idOf(`v=STSv1; id=${"x".repeat(32)};`), "x".repeat(32));
  assert.equal(idOf("v=STSv1; id=first; id=second;"), "first", "of two the first counts");
});

test("records of others are passed over, and of ours there must be one", () => {
  assert.equal(idOf("v=spf1 -all", "v=STSv1; id=a;", "STSv1"), "a");
  assert.equal(idOf(), null);
  assert.equal(idOf("v=spf1 -all"), null);
  assert.equal(idOf("v=STSv1; id=a;", "v=STSv1; id=a;"), null);
  assert.equal(idOf("v=STSv1; id=a;", "v=STSv1; garbage"), null, "a malformed one counts too");
  assert.equal(idOf("v=STSv10; id=b;", "v=STSv1; id=a;"), "a");
});

test("a TXT record that is malformed announces nothing", () => {
  const malformed = [
    ...[
      "v=STSv1",
      "v=STSv1;",
      "v=STSv1; x=y;",
      "v=stsv1; id=a;",
      "V=STSv1; id=a;",
      "id=a; v=STSv1;",
      " v=STSv1; id=a;",
    ],
    ...["v=STSv1; id=;", "v=STSv1; id=a b;", "v=STSv1; id=a-b;", `v=STSv1; id=${"x".repeat(33)};`, "v=STSv1; ID=a;"],
    ...["v=STSv1; id=a;; x=y", "v=STSv1; id=a; x", "v=STSv1; id=a; x=y=z", "v=STSv1; id=a; =y", "v=STSv1; id=\u00e4;"],
    ...["v=STSv1; id =a;", "v=STSv1; id= a;", "v=STSv1; id=a; -x=y;", "v=STSv1; id=a\r\n;"],
  ];
  for (const record of malformed) assert.equal(idOf(record), null, JSON.stringify(record));
});

const lines = (...text: readonly string[]): string => text.map((line) => `${line}\r\n`).join("");
const valid = lines("version: STSv1", "mode: enforce", "mx: mail.example.com", "mx: *.Example.NET", "max_age: 604800");

test("a policy is read", () => {
  const parsed = parseStsPolicy(valid);
  assert.deepEqual(parsed, {
    ok: true,
    value: {
      mode: "enforce",
      mx: ["mail.example.com", "*.example.net"],
      maxAge: 7 * DAY,
      lines: ["version: STSv1", "mode: enforce", "mx: mail.example.com", "mx: *.Example.NET", "max_age: 604800"],
    },
  });
});

test("lines end with LF or CRLF, the last as well or not; the order is free, and space behind a value is nothing", () => {
  const variants = [
    valid.replaceAll("\r\n", "\n"),
    valid.trimEnd(),
    valid.replaceAll("\r\n", " \t\r\n"),
    valid.replaceAll(": ", ":"),
    valid.replaceAll(": ", ":  \t"),
    `${valid}\r\n\n`,
    lines("max_age: 604800", "mx: mail.example.com", "mx: *.example.net", "mode: enforce", "version: STSv1"),
  ];
  for (const text of variants) {
    const parsed = parseStsPolicy(text);
    assert.ok(parsed.ok, JSON.stringify(text));
    assert.deepEqual([parsed.value.mode, parsed.value.maxAge], ["enforce", 7 * DAY]);
    assert.deepEqual(parsed.value.mx, ["mail.example.com", "*.example.net"]);
  }
});

test("unknown fields are ignored, and of a field that stands twice the first counts", () => {
  const more = lines("x-note: who: knows, \u00e4\u00f6", "mode: none", "version: STSv2", "max_age: soon", "empty:");
  const parsed = parseStsPolicy(valid + more);
  assert.ok(parsed.ok);
  assert.deepEqual([parsed.value.mode, parsed.value.maxAge], ["enforce", 7 * DAY]);
});

test("a policy that says none needs no mx", () => {
  const parsed = parseStsPolicy(lines("version: STSv1", "mode: none", "max_age: 0"));
  assert.ok(parsed.ok);
  assert.deepEqual([parsed.value.mode, parsed.value.mx, parsed.value.maxAge], ["none", [], 0]);
});

test("a policy that is malformed is none", () => {
  const without = (name: string): string => valid.replace(new RegExp(`^${name}: .*\r\n`, "gm"), "");
  const having = (name: string, value: string): string =>
    valid.replace(new RegExp(`^${name}: .*$`, "m"), `${name}: ${value}`);
  const malformed = [
    ...["", "\r\n", "<html>", "STSv1", valid.replaceAll(":", "="), valid.replaceAll("\r\n", "\r")],
    ...["version", "mode", "mx", "max_age"].map(without),
    ...["STSv2", "stsv1", ""].map((value) => having("version", value)),
    ...["Enforce", "report", "enforce, testing", ""].map((value) => having("mode", value)),
    ...["-1", "1e3", "31557601", "99999999999", "1.5", "0x10", ""].map((value) => having("max_age", value)),
    ...["", "*", "*.", "*.*.example.com", "mail.*.com", "m*.example.com", "mail..com", "mail.example.com."].map(
      (value) => having("mx", value),
    ),
    ...["m\u00e4il.example.com", "a, b", "-.com", "192.0.2.1", "[192.0.2.1]", "x".repeat(64)].map((value) =>
      having("mx", value),
    ),
    `${valid}x: a\u0000b\r\n`,
    `${valid}no colon\r\n`,
    `${valid} x: y\r\n`,
    `${valid}x : y\r\n`,
  ];
  for (const text of malformed) assert.equal(parseStsPolicy(text).ok, false, JSON.stringify(text));
});

test("max_age may be a year, and no longer", () => {
  const parsed = parseStsPolicy(valid.replace("604800", "31557600"));
  assert.ok(parsed.ok);
  assert.equal(parsed.value.maxAge, 31_557_600 * SECOND);
});

test("whatever is read, it ends in a value, and what is taken keeps the rules", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "version: STSv1",
      "mode: enforce",
      "mode: testing",
      "mx: a.example",
      "mx: *.b.example",
      "max_age: 1",
    ),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 9 }), fc.constantFrom("\n", "\r\n", "\r"), (texts, end) => {
      const parsed = parseStsPolicy(texts.join(end));
      if (!parsed.ok) return;
      assert.ok(parsed.value.mode === "none" || parsed.value.mx.length > 0);
      assert.ok(parsed.value.lines.every((text) => !/[\r\n]/.test(text)));
    }),
  );
});

test("a pattern is a host's name, or has * for its whole first label", () => {
  const patterns = ["mail.example.com", "*.example.net"];
  for (const host of ["mail.example.com", "MAIL.Example.Com", "mail.example.com.", "a.example.net", "A.EXAMPLE.NET."]) {
    assert.equal(matchesSts(patterns, host), true, host);
  }
  const others = [
    "example.com",
    "example.net",
    "a.b.example.net",
    "xmail.example.com",
    ".example.net",
    "",
    "*.example.org",
  ];
  for (const host of others) assert.equal(matchesSts(patterns, host), false, host);
  assert.equal(matchesSts([], "mail.example.com"), false);
});

test("what we publish is what we read", () => {
  const policy = { mode: "testing", mx: ["mx1.example.org", "*.example.org"], maxAge: 7 * DAY } as const;
  const text = formatStsPolicy(policy);
  const parsed = parseStsPolicy(text);
  assert.ok(parsed.ok);
  assert.deepEqual({ ...parsed.value, lines: [] }, { ...policy, lines: [] });
  const id = policyId(text);
  assert.equal(idOf(formatStsRecord(id)), id);
  assert.equal(policyId(text), id);
  assert.notEqual(policyId(formatStsPolicy({ ...policy, mode: "enforce" })), id);
});

test("a policy of ours is never longer than is read", () => {
  const parsed = parseStsPolicy(formatStsPolicy({ mode: "enforce", mx: ["a.example"], maxAge: 366 * DAY }));
  assert.ok(parsed.ok);
});

test("blanks without end in a policy or record cost their host's bandwidth and not our time", () => {
  const blanks = " ".repeat(64_000);
  const served = formatStsPolicy({ mode: "enforce", mx: ["a.example"], maxAge: DAY });
  const before = process.cpuUsage();
  const parsed = parseStsPolicy(`${served}note: a${blanks}b \t\r\n`);
  assert.equal(parsed.ok && parsed.value.lines.at(-1), `note: a${blanks}b`);
  assert.equal(idOf(`v=STSv1; id=1; a${blanks}=b`), null);
  const { user } = process.cpuUsage(before);
  assert.ok(user < 500_000, `${user} µs`);
});
