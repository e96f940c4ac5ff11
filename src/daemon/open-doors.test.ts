import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { parseConfig } from "../config/index.ts";
import { checkWarnings } from "./checks.ts";

function warnings(listener: string, relay = ""): readonly string[] {
  const first = `[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n${listener}`;
  return checkWarnings(unwrap(parseConfig(`hostname = "a.test"\n${first}\n${relay}`, "/etc/postern.toml")));
}

test("networks of strangers among those who are trusted are warned of", () => {
  const relay = (network: string): number => warnings("", `[relay]\nnetworks = ["${network}"]`).length;
  assert.deepEqual(["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3"].map(relay), [1, 1, 1, 1]);
  assert.deepEqual(["10.0.0.0/8", "192.0.2.1", "fc00::/7", "2001:db8::/32"].map(relay), [0, 0, 0, 0]);
  assert.equal(warnings('proxy = ["0.0.0.0/0"]\nxclient = ["::/0", "127.0.0.0/8"]').length, 2);
});
