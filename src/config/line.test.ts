import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { configLine } from "./line.ts";

test("tells the line of a table of the file, and null where the file is gone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "postern-line-"));
  const file = join(folder, "postern.toml");
  await writeFile(file, 'hostname = "a.test"\n\n[[route]]\nmatch = "b.test"\n[[route]]\nmatch = "*"\n');
  assert.equal(configLine({ file }, ["route", 0]), 3);
  assert.equal(configLine({ file }, ["route", 1]), 5);
  await rm(folder, { recursive: true });
  assert.equal(configLine({ file }, ["route", 1]), null);
});
