import assert from "node:assert/strict";
import { test } from "node:test";
import { MailReader, soakMail } from "./mail.ts";
import { Count } from "./tally.ts";

const whole = { bounce: false, intact: true };

test("each way in which counts may not add up shows", () => {
  const count = new Count();
  for (let number = 1; number <= 7; number++) {
    count.sending(number, number === 2);
    if (number !== 7) count.acknowledged(number);
  }
  count.arrived(1, whole);
  count.arrived(2, { bounce: true, intact: true });
  for (let times = 0; times < 2; times++) count.arrived(4, whole);
  for (let times = 0; times < 2; times++) count.arrived(5, whole);
  count.excuse(5);
  count.arrived(6, { bounce: false, intact: false });
  count.arrived(6, { bounce: true, intact: true });
  count.arrived(99, whole);
  const { sent, acknowledged, delivered, bounced, ...rest } = count.close();
  assert.deepEqual([sent, acknowledged, delivered, bounced], [7, 6, 4, 1]);
  assert.deepEqual(rest, { notTaken: 0, open: [3], repeated: [4], excused: 1, altered: [6], wrong: [6, 99] });
});

test("a message is known by its number, and whole only to its last octet", () => {
  for (const number of [1, 2, 3, 500]) {
    for (const cut of [0, 1]) {
      const octets = Buffer.concat([...soakMail(number).chunks()]);
      assert.equal(octets.length, soakMail(number).size);
      const reader = new MailReader();
      reader.push(Buffer.from("Received: from x\r\n"));
      for (let at = 0; at < octets.length - cut; at += 1000) {
        reader.push(octets.subarray(at, Math.min(at + 1000, octets.length - cut)));
      }
      assert.deepEqual(reader.end(), { number, intact: cut === 0 });
    }
  }
});
