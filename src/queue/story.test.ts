import assert from "node:assert/strict";
import { test } from "node:test";
import type { Outcome } from "./model.ts";
import { outcomeEntry } from "./story.ts";

function deferred(text: string): Outcome {
  const hop = { host: "mx.test", address: null, port: 25, tls: null, rule: "opportunistic" };
  return { kind: "deferred", scope: "host", problem: { text, reply: null, status: "4.4.1" }, hop };
}

test("a host is named once, by the trouble's own words or before them", () => {
  assert.equal(outcomeEntry(deferred("mx.test refused the connection")).text, "mx.test refused the connection");
  assert.equal(outcomeEntry(deferred("out of memory")).text, "mx.test: out of memory");
});
