import assert from "node:assert/strict";
import { test } from "node:test";
import { exportsOf, importsOf, withoutComments } from "./source-scan.ts";

test("comments go, what looks like one in a string stays", () => {
  const code = withoutComments('const a = "http://x"; // gone\nconst b = /[/*]"/; /* gone\ntoo */ const c = `// a`;');
  assert.doesNotMatch(code, /gone|too/);
  assert.match(code, /"http:\/\/x"/);
  assert.match(code, /`\/\/ a`/);
  assert.equal(code.split("\n").length, 3, "lines keep their numbers");
});

test("imports are found in every form", () => {
  const code = [
    'import { a, type B, c as d } from "./one.ts";',
    'import type { E } from "./two.ts";',
    'import { type F } from "./three.ts";',
    'import G from "g";',
    'import * as h from "node:h";',
    'import {\n  i,\n  j,\n} from "./four.ts";',
    'import "./five.ts";',
    'const k = await import("./six.ts");',
    'export { l } from "./seven.ts";',
    'export type { M } from "./eight.ts";',
    'export * from "./nine.ts";',
  ].join("\n");
  const found = new Map(importsOf(code).map(({ from, typeOnly, names }) => [from, [typeOnly, ...names]]));
  assert.deepEqual(Object.fromEntries(found), {
    "./one.ts": [false, "a", "B", "c"],
    "./two.ts": [true, "E"],
    "./three.ts": [true, "F"],
    g: [false, "*"],
    "node:h": [false, "*"],
    "./four.ts": [false, "i", "j"],
    "./five.ts": [false],
    "./six.ts": [false, "*"],
    "./seven.ts": [false],
    "./eight.ts": [true],
    "./nine.ts": [false],
  });
  assert.deepEqual(
    importsOf(code).flatMap(({ from, deferred }) => (deferred ? [from] : [])),
    ["./six.ts"],
  );
});

test("exports are found in every form", () => {
  const code = [
    "export function a() {}",
    "export async function b() {}",
    "export class C {}",
    "export interface D {}",
    "export type E = 1;",
    "export const f = 1;",
    "export declare function g(): void;",
    "export { h, i as j };",
    'export { type K } from "./one.ts";',
    'export type { L } from "./two.ts";',
    'export * from "./three.ts";',
    "const hidden = 1;",
  ].join("\n");
  assert.deepEqual(
    exportsOf(code)
      .map(({ name, local, from, typeOnly }) => `${name} ${local} ${from} ${typeOnly ? "type" : "value"}`)
      .sort(),
    [
      "* * ./three.ts value",
      "C C null value",
      "D D null type",
      "E E null type",
      "K K ./one.ts type",
      "L L ./two.ts type",
      "a a null value",
      "b b null value",
      "f f null value",
      "g g null value",
      "h h null value",
      "j i null value",
    ],
  );
});
