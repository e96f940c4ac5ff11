import assert from "node:assert/strict";
import { test } from "node:test";
import { type Asked, answerTo, type Page } from "./page.ts";

const page = (host: string, path: string, body: string): Page => ({
  serves: (name) => name === host,
  path,
  respond: ({ query }) =>
    query.has("none") ? null : { status: 200, type: "text/plain", body: `${body}${query.get("q") ?? ""}`, maxAge: 60 },
});
const pages = [page("one.test", "/a", "1a"), page("two.test", "/a", "2a"), page("two.test", "/b/c.txt", "2bc")];

async function ask(asked: Partial<Asked>): Promise<readonly [number, string]> {
  const { status, body } = await answerTo(pages, { method: "GET", target: "/a", host: "one.test", ...asked });
  return [status, status === 200 ? body : ""];
}

test("a page is found by its name and its path", async () => {
  assert.deepEqual(await ask({}), [200, "1a"]);
  assert.deepEqual(await ask({ host: "two.test" }), [200, "2a"]);
  assert.deepEqual(await ask({ host: "two.test", target: "/b/c.txt" }), [200, "2bc"]);
  assert.deepEqual(await ask({ method: "HEAD" }), [200, "1a"]);
  assert.deepEqual(await ask({ target: "/a?q=x&y=z?" }), [200, "1ax"]);
});

test("a name has any case, a port, a trailing dot, and may come in the target", async () => {
  for (const host of ["ONE.test", "one.test:443", "one.test.", "One.Test.:8443"])
    assert.deepEqual(await ask({ host }), [200, "1a"]);
  assert.deepEqual(await ask({ host: "two.test", target: "https://ONE.test:443/a" }), [200, "1a"], "RFC 9112 §3.2.2");
});

test("what is no page is not found, whatever the method was", async () => {
  for (const target of ["/", "/a/", "/A", "/a%20", "//a", "/a/../a", "/%61", "/b", "/a?none"]) {
    assert.deepEqual(await ask({ target }), [404, ""], target);
  }
  assert.deepEqual(await ask({ host: "other.test" }), [404, ""]);
  assert.deepEqual(await ask({ host: "127.0.0.1:443" }), [404, ""]);
  for (const host of ["[::1]", "[::1]:443", "[2001:DB8::1]:80"]) assert.deepEqual(await ask({ host }), [404, ""], host);
  assert.deepEqual(await ask({ target: "/b", method: "POST" }), [404, ""]);
});

test("a page is read only", async () => {
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"]) {
    const answer = await answerTo(pages, { method, target: "/a", host: "one.test" });
    assert.deepEqual([answer.status, answer.allow], [405, "GET, HEAD"], method);
  }
});

test("a request that names no host, or none that can be, is bad", async () => {
  for (const host of [null, "", "a b", "one.test/x", "one.test:port", "[::1", "[]", "[mail.test]", "x".repeat(300)]) {
    assert.deepEqual(await ask({ host }), [400, ""], String(host));
  }
  for (const target of ["*", "a", "ftp://one.test/a", ""]) assert.deepEqual(await ask({ target }), [400, ""], target);
});

test("an answer may take its time, and an address in brackets is a name like others", async () => {
  const slow: Page = {
    serves: (host) => host === "[::1]",
    path: "/slow",
    respond: () => Promise.resolve({ status: 200, type: "text/plain", body: "done", maxAge: 0 }),
  };
  const answer = await answerTo([slow], { method: "GET", target: "/slow", host: "[::1]:9469" });
  assert.deepEqual([answer.status, answer.body], [200, "done"]);
});
