import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatMailbox } from "../smtp/index.ts";
import { type ListedAddress, parseAddressList } from "./address-list.ts";

function shown(address: ListedAddress): string {
  const text = address.kind === "mailbox" ? formatMailbox(address.mailbox) : `${address.localPart}?`;
  return address.name === null ? text : `${address.name} <${text}>`;
}

function read(text: string): readonly string[] | null {
  const list = parseAddressList(text);
  return list.ok ? list.value.map(shown) : null;
}

/** Written, and what it means; null is a problem. */
const CASES: readonly (readonly [text: string, meaning: readonly string[] | null])[] = [
  // RFC 5322 A.1
  [" John Doe <jdoe@machine.example>", ["John Doe <jdoe@machine.example>"]],
  [
    ' "Joe Q. Public" <john.q.public@example.com>,\r\n Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>\r\n',
    ["Joe Q. Public <john.q.public@example.com>", "Mary Smith <mary@x.test>", "jdoe@example.org", "Who? <one@y.test>"],
  ],
  [
    ' <boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
    ["boss@nil.test", 'Giant; "Big" Box <sysservices@example.net>'],
  ],
  [
    "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
    ["Ed Jones <c@a.test>", "joe@where.test", "John <jdoe@one.test>"],
  ],
  ["Undisclosed recipients:;", []],
  // RFC 5322 A.5, A.6.1
  ["Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["Pete <pete@silly.test>"]],
  [
    "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
    ["Chris Jones <c@public.example>", "joe@example.org", "John <jdoe@one.test>"],
  ],
  ["Joe Q. Public <john.q.public@example.com>", ["Joe Q. Public <john.q.public@example.com>"]],
  [
    "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
    ["Mary Smith <mary@example.net>", "jdoe@test.example"],
  ],
  ["<@a.test,,@b.test:c@d.test>", ["c@d.test"]],
  // Bare local parts
  ["ann", ["ann?"]],
  ["ann.lee , Bob <bob>", ["ann.lee?", "Bob <bob?>"]],
  ['"ann lee"', ["ann lee?"]],
  ["undisclosed-recipients:", []],
  // Quoting, literals, other scripts
  ['"a@b"@c.test', ['"a@b"@c.test']],
  ['"very\r\n long" <x@y.test>', ["very long <x@y.test>"]],
  ["x@[192.0.2.1], y@[IPv6:2001:db8::1]", ["x@[192.0.2.1]", "y@[IPv6:2001:db8::1]"]],
  ["Jürgen <jürgen@bücher.test>", ["Jürgen <jürgen@bücher.test>"]],
  ["=?utf-8?Q?J=C3=BCrgen?= <j@x.test>", ["=?utf-8?Q?J=C3=BCrgen?= <j@x.test>"]],
  ["X@EXAMPLE.Test", ["X@example.test"]],
  ["", []],
  [" \r\n\t, ,", []],
  ["((a)(b(c)))", []],
  // What two readers could read as two addresses
  ["ann@here.test <boss@there.test>", null],
  ["<ann@here.test> <boss@there.test>", null],
  ["ann@here.test boss@there.test", null],
  ["ann@here.test; boss@there.test", null],
  ["<ann@here.test>boss", null],
  ["<ann@here.test@there.test>", null],
  // Not encoded as RFC 2047 §5 says: the one reader sees a name, the other an address of its own, which counts.
  ["=?utf-8?q?boss@there.test,_Ann?= <ann@here.test>", ["=?utf-8?q?boss@there.test", "_Ann?= <ann@here.test>"]],
  ["=?utf-8?q?boss@there.test?= <ann@here.test>", null],
  ["Smith, Ann <ann@here.test> bob", null],
  ["A: B: c@d.test;;", null],
  // Broken
  ["Ann Lee", null],
  ["Ann Lee@here.test", null],
  ["<>", null],
  ["Ann <>", null],
  ["<ann@here.test", null],
  ["ann@", null],
  ["@here.test", null],
  ["a..b@here.test", null],
  [".a@here.test", null],
  ["a.@here.test", null],
  ["a@here..test", null],
  ["a@-here.test", null],
  ['"ann@here.test', null],
  ["(ann@here.test", null],
  ["ann@here.test)", null],
  ["ann@[here.test]", null],
  ["<:ann@here.test>", null],
  ["<@a.test ann@here.test>", null],
  [": a@b.test;", null],
  ["a\u0000@b.test", null],
  ['"a\u0007" <a@b.test>', null],
  ['"a\tb"@c.test', null],
  ["a@b\\c.test", null],
  [`${"a".repeat(300)}@here.test`, null],
];

for (const [text, meaning] of CASES) {
  test(`address list ${JSON.stringify(text).slice(0, 90)}`, () => assert.deepEqual(read(text), meaning));
}

test("a bare local part tells where its domain belongs", () => {
  for (const text of ["ann", " (c) ann (the one) , x@y.test", 'Ann <"a b" >', "a . b", "g: ann;"]) {
    const list = parseAddressList(text);
    const [first] = list.ok ? list.value : [];
    assert.ok(first?.kind === "bare");
    const qualified = parseAddressList(`${text.slice(0, first.end)}@here.test${text.slice(first.end)}`);
    const [whole] = qualified.ok ? qualified.value : [];
    assert.ok(whole?.kind === "mailbox");
    assert.deepEqual(whole.mailbox, { localPart: first.localPart, domain: "here.test" });
  }
});

test("a problem tells its place", () => {
  const list = parseAddressList("a@b.test, Ann Lee, c@d.test");
  assert.equal(list.ok ? null : list.error.at, 10);
});

const local = fc.stringMatching(/^[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}(\.[a-z0-9]{1,5})?$/);
const domain = fc.stringMatching(/^[a-z0-9]{1,8}\.test$/);
const blank = fc.constantFrom("", " ", "\r\n ", "(note)", " (a (b) \\) c) ", "\t");
const name = fc.constantFrom("", "Ann", '"Lee, Ann" ', "Dr. Ann Lee ", "=?utf-8?q?x?= ", '"\\"" ');

test("what is written is what is read, whatever stands around it", () => {
  const address = fc.tuple(local, domain, blank, blank, name);
  fc.assert(
    fc.property(fc.array(address, { maxLength: 6 }), (addresses) => {
      const text = addresses
        .map(([l, d, before, after, named]) =>
          named === ""
            ? `${before}${l}@${d}${after}`
            : `${named}${before}<${before}${l}${after}@${before}${d}${after}>${after}`,
        )
        .join(",");
      const list = parseAddressList(text);
      assert.ok(list.ok, text);
      const found = list.value.map((entry) => (entry.kind === "mailbox" ? formatMailbox(entry.mailbox) : null));
      assert.deepEqual(
        found,
        addresses.map(([l, d]) => `${l}@${d}`),
      );
    }),
  );
});

test("deep comments and long lists cost time in proportion only", () => {
  const started = performance.now();
  read("(".repeat(200_000));
  read(`${"(".repeat(100_000)}${")".repeat(100_000)}a@b.test`);
  read("a@b.test,".repeat(20_000));
  read('"\\'.repeat(100_000));
  assert.ok(performance.now() - started < 3000);
});
