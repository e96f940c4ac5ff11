import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission } from "./admission.ts";

function admission(connections: number, connectionsPerAddress: number): Admission {
  return new Admission({ connections, connectionsPerAddress });
}

test("one address takes no more than its share, and gives it back once", () => {
  const places = admission(10, 2);
  const place = places.enter("192.0.2.1");
  assert.ok(place !== null);
  assert.ok(places.enter("192.0.2.1") !== null);
  assert.equal(places.enter("192.0.2.1"), null);
  assert.ok(places.enter("192.0.2.2") !== null);
  place.leave();
  place.leave();
  assert.ok(places.enter("192.0.2.1") !== null);
  assert.equal(places.enter("192.0.2.1"), null);
});

test("all together take no more than there are", () => {
  const places = admission(2, 10);
  const place = places.enter("192.0.2.1");
  assert.ok(places.enter("192.0.2.2") !== null);
  assert.equal(places.enter("192.0.2.3"), null);
  place?.leave();
  assert.ok(places.enter("192.0.2.3") !== null);
});

test("who comes by a proxy is counted in all at once, and by its own address when that is known", () => {
  const places = admission(3, 1);
  const first = places.enter(null);
  const second = places.enter(null);
  assert.ok(first !== null && second !== null);
  assert.equal(first.move("192.0.2.1"), true);
  assert.equal(second.move("192.0.2.1"), false);
  assert.equal(places.enter("192.0.2.1"), null);
  assert.equal(first.move("192.0.2.1"), true, "it has that place already");
  assert.equal(first.move("192.0.2.2"), true);
  assert.equal(second.move("192.0.2.1"), true);
  assert.ok(places.enter(null) !== null);
  assert.equal(places.enter(null), null);
  second.leave();
  assert.equal(second.move("192.0.2.9"), false, "a place given back is nobody's");
  assert.ok(places.enter("192.0.2.1") !== null);
});

const groups: readonly (readonly [first: string, second: string, same: boolean])[] = [
  ["2001:db8::1", "2001:db8::2", true],
  ["2001:db8::1", "2001:db8:0:0:ffff::9", true],
  ["2001:0db8::1", "2001:DB8:0:0:1::", true],
  ["2001:db8::1", "2001:db8:0:1::1", false],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", true],
  ["::1", "::2", true],
  ["fe80::1%eth0", "fe80::2", true],
  ["::ffff:192.0.2.1", "192.0.2.1", true],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
  ["192.0.2.1", "192.0.2.2", false],
];
for (const [first, second, same] of groups) {
  test(`${first} and ${second} are ${same ? "one peer" : "two peers"}`, () => {
    const places = admission(10, 1);
    assert.ok(places.enter(first) !== null);
    assert.equal(places.enter(second) === null, same);
  });
}
