import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { acceptedForm, type Description, description } from "./description.ts";
import { configJsonSchema, configReference } from "./reference.ts";

const docs = new URL("../../docs/", import.meta.url);

test("docs/config.md is what the schema says", () => {
  assert.equal(readFileSync(new URL("config.md", docs), "utf8"), configReference());
});

test("docs/config.schema.json is what the schema says", () => {
  assert.deepEqual(JSON.parse(readFileSync(new URL("config.schema.json", docs), "utf8")), configJsonSchema());
});

test("every setting has a help text, a type and an accepted form", () => {
  let leaves = 0;
  const walk = (node: Description, path: string): void => {
    assert.ok(typeof node.type === "string" || (node.anyOf ?? []).length > 1, path);
    for (const [key, inner] of Object.entries(node.properties ?? node.items?.properties ?? {}))
      walk(inner, `${path}.${key}`);
    if (node.properties !== undefined || node.items?.properties !== undefined) return;
    leaves++;
    assert.ok((node.description ?? "").length > 10, `${path} has no help`);
    assert.ok(acceptedForm(node).length > 3, path);
  };
  walk(description, "");
  assert.ok(leaves > 25);
});

test("the JSON Schema names every key of the contract and none of our own words", () => {
  const text = JSON.stringify(configJsonSchema());
  for (const key of ["hostname", "data_dir", "listener", "deliver", "networks", "via", "trust_ad", "message_size"]) {
    assert.ok(text.includes(`"${key}"`), key);
  }
  assert.ok(!text.includes('"accepted"'));
});
