import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Answer, decode, encode } from "dns-packet";
import fc from "fast-check";
import { unwrap } from "../base/index.ts";
import { readAddress, readMx, readNameData, readNegativeTtl, readSrv, readTlsa, readTxt } from "./dns-data.ts";
import { answers, type DnsQuery, formatQuery, isReferral, parseMessage } from "./dns-message.ts";

const query: DnsQuery = { id: 0x1234, name: "Example.test", type: "MX", edns: true, dnssec: true };

function response(records: readonly Answer[]): Uint8Array {
  return encode({
    type: "response",
    id: 0x1234,
    questions: [{ type: "MX", name: "example.test" }],
    answers: [...records],
  });
}

/** A response whose one record has this data, whatever its type says. */
function withData(type: number, data: readonly number[]): Uint8Array {
  const head = [0x12, 0x34, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0];
  // A further octet behind the record: a reader that goes beyond the data finds one.
  return Uint8Array.from([...head, 1, 0x61, 0, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data, 0]);
}

function read<T>(reader: (message: ReturnType<typeof messageOf>, record: RecordOf) => T, bytes: Uint8Array): T {
  const message = messageOf(bytes);
  const [record] = message.answers;
  assert.ok(record !== undefined);
  return reader(message, record);
}

type RecordOf = ReturnType<typeof messageOf>["answers"][number];
const messageOf = (bytes: Uint8Array) => unwrap(parseMessage(bytes));

describe("a query", () => {
  test("is read by another implementation as it was meant", () => {
    const bytes = formatQuery(query);
    assert.ok(bytes !== null);
    const packet = decode(Buffer.from(bytes));
    assert.equal(packet.id, 0x1234);
    assert.equal(packet.flag_rd, true);
    assert.equal(packet.flag_ad, true);
    assert.deepEqual(packet.questions?.[0], { name: "Example.test", type: "MX", class: "IN" });
    const [option] = packet.additionals ?? [];
    assert.ok(option?.type === "OPT");
    assert.equal(option.udpPayloadSize, 1232);
    assert.equal(option.flag_do, true);
    assert.equal(decode(Buffer.from(formatQuery({ ...query, edns: false }) ?? [])).additionals?.length, 0);
    const plain = decode(Buffer.from(formatQuery({ ...query, dnssec: false }) ?? []));
    const [plainOption] = plain.additionals ?? [];
    assert.ok(plainOption?.type === "OPT");
    assert.deepEqual([plain.flag_ad, plainOption.flag_do], [false, false]);
  });

  test("for a name that is written with an escape is not made: unescaped it would be another", () => {
    assert.equal(formatQuery({ ...query, name: "a\\.b.test" }), null);
    assert.equal(formatQuery({ ...query, name: "a\\010.test" }), null);
  });

  test("is answered only by its own id and question", () => {
    const message = messageOf(response([]));
    assert.equal(answers(message, query), true);
    assert.equal(answers(message, { ...query, id: 1 }), false);
    assert.equal(answers(message, { ...query, name: "other.test" }), false);
    assert.equal(answers(message, { ...query, type: "A" }), false);
    const otherClass = encode({
      type: "response",
      id: 0x1234,
      questions: [{ type: "MX", name: "example.test", class: "CH" }],
    });
    assert.equal(answers(messageOf(otherClass), query), false);
    const notify = response([]);
    notify[2] = (notify[2] ?? 0) | 0x20;
    assert.equal(answers(messageOf(notify), query), false);
    assert.equal(answers(messageOf(formatQuery(query) ?? new Uint8Array()), query), false);
  });
});

describe("a message", () => {
  test("cut at any place is an error or the same message, never a crash or a record less", () => {
    const whole = response([
      { type: "MX", name: "example.test", ttl: 60, data: { preference: 10, exchange: "mx.example.test" } },
      { type: "TXT", name: "example.test", ttl: 60, data: ["one", "two"] },
    ]);
    assert.equal(messageOf(whole).answers.length, 2);
    for (let end = 0; end < whole.length; end++) assert.equal(parseMessage(whole.subarray(0, end)).ok, false, `${end}`);
  });

  test("of any octets at all is a value", () => {
    const readers = [readAddress, readMx, readNameData, readNegativeTtl, readSrv, readTlsa, readTxt];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(1, 2, 3), (octets, count) => {
        const bytes = Uint8Array.from([0x12, 0x34, 0x80, 0, 0, 0, 0, count, 0, 0, 0, 0, ...octets]);
        const message = parseMessage(bytes);
        if (!message.ok) return;
        for (const record of message.value.answers) for (const reader of readers) reader(message.value, record);
      }),
    );
  });

  test("whose names point in a circle or forward is an error", () => {
    for (const pointer of [
      [0xc0, 12],
      [0xc0, 14],
      [0xc0, 0xff],
      [0x40, 1],
      [0x80, 1],
    ]) {
      const bytes = Uint8Array.from([0x12, 0x34, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...pointer, 0, 15, 0, 1]);
      assert.equal(parseMessage(bytes).ok, false, String(pointer));
    }
  });

  test("that names other servers and denies nothing is a referral", () => {
    const ns: Answer = { type: "NS", name: "test", data: "ns.test" };
    const soa: Answer = { type: "SOA", name: "test", data: { mname: "ns.test", rname: "root.test" } };
    const a: Answer = { type: "A", name: "example.test", data: "192.0.2.1" };
    const message = (answers: Answer[], authorities: Answer[]) =>
      messageOf(encode({ type: "response", id: 1, answers, authorities }));
    assert.equal(isReferral(message([], [ns])), true);
    assert.equal(isReferral(message([], [])), false);
    assert.equal(isReferral(message([], [soa])), false);
    assert.equal(isReferral(message([], [ns, soa])), false);
    assert.equal(isReferral(message([a], [ns])), false);
  });

  test("marked as truncated gives no records", () => {
    const bytes = response([{ type: "A", name: "example.test", data: "192.0.2.1" }]);
    bytes[2] = (bytes[2] ?? 0) | 0x02;
    const message = messageOf(bytes);
    assert.equal(message.truncated, true);
    assert.equal(message.answers.length, 0);
  });
});

describe("data of a record", () => {
  test("of the wrong length is malformed, and never completed from what follows", () => {
    assert.equal(read(readAddress, withData(1, [192, 0, 2])), null);
    assert.equal(read(readAddress, withData(1, [192, 0, 2, 1, 1])), null);
    assert.equal(read(readAddress, withData(28, [192, 0, 2, 1])), null);
    assert.equal(read(readMx, withData(15, [])), null);
    assert.equal(read(readMx, withData(15, [0, 10])), null);
    assert.equal(read(readMx, withData(15, [0, 10, 1, 0x62])), null);
    assert.equal(read(readMx, withData(15, [0, 10, 1, 0x62, 0, 0])), null);
    assert.equal(read(readSrv, withData(33, [0, 1, 0, 2, 0, 25])), null);
    assert.equal(read(readSrv, withData(33, [0, 1, 0, 2, 0, 25, 1, 0x62])), null);
    assert.equal(read(readSrv, withData(33, [0, 1, 0, 2, 0, 25, 0, 0])), null);
    assert.equal(read(readTlsa, withData(52, [3, 1])), null);
    assert.equal(read(readTlsa, withData(52, [3, 1, 1])), null);
    assert.equal(read(readTxt, withData(16, [])), null);
    assert.equal(read(readTxt, withData(16, [2, 0x61])), null);
    assert.equal(read(readNameData, withData(5, [1, 0x62])), null);
    assert.equal(read(readNegativeTtl, withData(6, [0, 0, 0, 0, 0, 1])), null);
  });

  test("with a dot or a control inside a label cannot pass for another name", () => {
    assert.equal(read(readNameData, withData(5, [3, 0x61, 0x2e, 0x62, 0])), "a\\.b");
    assert.equal(read(readNameData, withData(5, [2, 0x41, 0x0a, 1, 0x5a, 0])), "a\\010.z");
    assert.deepEqual(read(readMx, withData(15, [0, 0, 0])), { preference: 0, exchange: "" });
  });

  test("of SRV is four values, the root among the targets", () => {
    const srv = read(readSrv, withData(33, [0, 1, 0, 2, 1, 0xd1, 1, 0x42, 0]));
    assert.deepEqual(srv, { priority: 1, weight: 2, port: 465, target: "b" });
    assert.equal(read(readSrv, withData(33, [0, 0, 0, 0, 0, 0, 0]))?.target, "");
  });

  test("of TXT keeps an octet order mark, so that nothing passes for the text without it", () => {
    assert.equal(read(readTxt, withData(16, [4, 0xef, 0xbb, 0xbf, 0x61])), "\ufeffa");
  });

  test("of TLSA is a copy that outlives the message", () => {
    const bytes = withData(52, [3, 1, 1, 9]);
    const record = read(readTlsa, bytes);
    bytes.fill(0);
    assert.deepEqual(record?.data, Uint8Array.of(9));
  });
});
