import assert from "node:assert/strict";
import { test } from "node:test";
import { printable, silentLog } from "./log.ts";

test("a peer's text cannot begin a line, move a cursor or turn its direction", () => {
  const hostile = "a\r\nb\u001b[2J\u0000\u0085\u2028\u202e\ufeff";
  const safe = printable(hostile);
  assert.doesNotMatch(safe, /[\u0000-\u001f\u007f-\u009f\u2028\u202e\ufeff]/);
  assert.ok(safe.startsWith("a\\u000d\\u000ab"));
});

test("a peer's text is capped, and what is harmless stays as it is", () => {
  assert.equal(printable("Grüße, 5.1.1 <a@b>"), "Grüße, 5.1.1 <a@b>");
  assert.equal(printable("x".repeat(20), 8), `${"x".repeat(8)}…`);
});

test("the silent log has silent children", () => {
  silentLog.child({ session: "s" }).error("event", { error: new Error("unheard") });
  assert.equal(silentLog.child({}), silentLog);
});
