import assert from "node:assert/strict";
import { test } from "node:test";
import { isPublicAddress } from "./public-address.ts";

test("addresses of the Internet at large are public, all others are not", () => {
  const strangers = [
    "8.8.8.8",
    "193.0.6.139",
    "100.128.0.1",
    "172.32.0.1",
    "2a00:1450:4001::1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
  ];
  const ours = [
    ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"],
    ...[
      "192.168.1.1",
      "192.0.2.1",
      "198.19.0.1",
      "224.0.0.1",
      "255.255.255.255",
      "::ffff:127.0.0.1",
      "::ffff:10.0.0.1",
    ],
    ...[
      "::",
      "::1",
      "::127.0.0.1",
      "fe80::1",
      "fc00::1",
      "fd12::1",
      "ff02::1",
      "2001:db8::1",
      "2002:7f00:1::",
      "2001::1",
    ],
    ...["64:ff9b::7f00:1", "::ffff:7f00:1", "100::1", "not an address", ""],
  ];
  for (const address of strangers) assert.equal(isPublicAddress(address), true, address);
  for (const address of ours) assert.equal(isPublicAddress(address), false, address);
});
