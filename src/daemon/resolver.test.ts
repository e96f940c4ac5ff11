import assert from "node:assert/strict";
import { test } from "node:test";
import { dnsServer } from "../testing/index.ts";
import { configuredResolver, resolverOptions } from "./resolver.ts";

test("without configured servers the list is left to the system, not empty", () => {
  assert.deepEqual(resolverOptions({ dns: { servers: [], trustAd: false } }), { trustAd: false });
});

test("configured servers are asked, at their ports, and their AD bit counts as configured", async () => {
  const server = await dnsServer({ "there.test": { a: ["192.0.2.7"], secure: true } });
  try {
    const [address = "", port = ""] = server.address.split(":");
    for (const trustAd of [true, false]) {
      const resolver = configuredResolver({ dns: { servers: [{ address, port: Number(port) }], trustAd } });
      const answer = await resolver.addresses("there.test", 4);
      assert.equal(answer.kind === "found" && answer.secure, trustAd);
    }
    const six = resolverOptions({ dns: { servers: [{ address: "::1", port: 5353 }], trustAd: false } });
    assert.deepEqual(six.servers, ["[::1]:5353"]);
  } finally {
    await server.close();
  }
});
