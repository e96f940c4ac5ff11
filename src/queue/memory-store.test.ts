import { test } from "node:test";
import { createMemoryStore } from "./memory-store.ts";
import { storeConformance } from "./store-conformance.ts";

for (const { title, run } of storeConformance) {
  test(`memory store: ${title}`, () => run(async (clock) => createMemoryStore({ clock })));
}
