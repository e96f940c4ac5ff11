import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonArray, printJson } from "./terminal.ts";

/** A TXT record of a stranger: CSI in its two forms, DEL, a line separator, text from right to left. */
const HOSTILE = { record: 'v=\u009b2J\u001b[2J\u007f\u2028\u202e"ü€😀' };

test("JSON holds nothing that a terminal acts on, and means what it did", (t) => {
  let written = "";
  t.mock.method(process.stdout, "write", (text: string) => {
    written += text;
    return true;
  });
  const array = jsonArray();
  printJson(HOSTILE);
  const one = written;
  written = "";
  array.add([HOSTILE, HOSTILE]);
  array.end();
  t.mock.restoreAll();
  for (const text of [one, written]) assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/);
  assert.deepEqual(JSON.parse(one), HOSTILE);
  assert.deepEqual(JSON.parse(written), [HOSTILE, HOSTILE]);
  assert.match(one, /ü€😀/);
});
