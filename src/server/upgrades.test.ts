import assert from "node:assert/strict";
import { test } from "node:test";
import { err, unwrap } from "../base/index.ts";
import { ServerTls } from "../net/index.ts";
import { makeCertificate } from "../testing/index.ts";
import { type Upgrade, Upgrades } from "./upgrades.ts";

const keyPairs = [makeCertificate({ names: ["mx.test"] })];

test("a service has its own TLS where it has any, else the server's; each is made ready once", () => {
  const upgrades = new Upgrades({ keyPairs }, 1000);
  const general = upgrades.of(undefined);
  assert.notEqual(general, null);
  assert.equal(upgrades.of(undefined), general);
  const own = unwrap(ServerTls.create({ keyPairs }));
  const made = upgrades.of(own);
  assert.ok(made !== null && made !== general);
  assert.equal(upgrades.of(own), made);
});

test("without certificates there is no TLS; a handshake of one's own is used as it is", () => {
  const upgrades = new Upgrades(undefined, 1000);
  assert.equal(upgrades.of(undefined), null);
  const upgrade: Upgrade = async () => err({ kind: "tls", detail: "never" });
  assert.equal(upgrades.of(upgrade), upgrade);
  assert.equal(new Upgrades(upgrade, 1000).of(undefined), upgrade);
});

test("certificates that cannot be read are told at once", () => {
  assert.throws(() => new Upgrades({ keyPairs: [{ certificate: "none", privateKey: "none" }] }, 1000), TypeError);
  assert.throws(() => new Upgrades(undefined, 1000).of({ keyPairs: [] }), TypeError);
});
