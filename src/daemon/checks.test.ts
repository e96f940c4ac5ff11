import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { parseConfig } from "../config/index.ts";
import { checkWarnings } from "./checks.ts";

const config = unwrap(
  parseConfig(
    'hostname = "here.test"\n[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n',
    "/etc/postern.toml",
  ),
);

test("metrics that others than this machine may read are warned of", () => {
  const warnings = (address: string): number =>
    checkWarnings({ ...config, metrics: { address: { address, port: 9469 } } }).length;
  assert.deepEqual(["127.0.0.1", "127.1.2.3", "::1"].map(warnings), [0, 0, 0]);
  assert.deepEqual(["0.0.0.0", "::", "192.168.1.2", "::ffff:10.0.0.1", "2001:db8::1"].map(warnings), [1, 1, 1, 1, 1]);
  assert.deepEqual(checkWarnings(config), []);
});
