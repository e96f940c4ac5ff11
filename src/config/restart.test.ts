import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { describe } from "./description.ts";
import { parseConfig } from "./load.ts";
import type { Config } from "./model.ts";
import { RESTART_KEYS, takeWhileRunning } from "./restart.ts";

const BEFORE = `
hostname = "mail.here.test"
workers = 2
[[listener]]
address = "127.0.0.1:2525"
service = "mx"
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[auth]
source = "https://users.here.test/check"
[[web]]
address = "127.0.0.1:8443"
`;

function parsed(text: string, file = "/etc/postern.toml"): Config {
  return unwrap(parseConfig(text, file));
}

const running = parsed(BEFORE);

/** The file before with one text replaced, or lines added. */
function changed(search: string, replacement: string): ReturnType<typeof takeWhileRunning> {
  assert.ok(BEFORE.includes(search), search);
  return takeWhileRunning(running, parsed(BEFORE.replace(search, replacement)));
}

test("each key that needs a restart is a setting, and none of the others is named", () => {
  for (const key of RESTART_KEYS) {
    const path: PropertyKey[] = [];
    for (const name of key.split(".")) {
      path.push(name);
      if (describe(path)?.items?.properties !== undefined) path.push(0);
    }
    assert.notEqual(describe(path), null, key);
  }
  assert.equal(new Set(RESTART_KEYS).size, RESTART_KEYS.length);
});

test("the same file is taken whole", () => {
  assert.deepEqual(takeWhileRunning(running, parsed(BEFORE)), { config: running, restart: [] });
});

for (const [search, replacement, key] of [
  ['"mail.here.test"', '"other.here.test"', "hostname"],
  ["workers = 2", 'workers = 2\ndata_dir = "elsewhere"', "data_dir"],
  ["workers = 2", 'workers = "auto"', "workers"],
  ["127.0.0.1:2525", "127.0.0.1:2526", "listener.address"],
  ['service = "mx"', 'service = "submission"', "listener.service"],
  ['service = "mx"', 'service = "mx"\ntls = "none"', "listener.tls"],
  ['service = "mx"', 'service = "mx"\n[[listener]]\naddress = "[::1]:25"\nservice = "mx"', "listener.address"],
  ["users.here.test", "other.here.test", "auth.source"],
  ["127.0.0.1:8443", "127.0.0.1:8444", "web.address"],
  ['8443"', '8443"\ntls = "none"', "web.tls"],
  ["[tls]", "[delivery]\nmta_sts = false\n[tls]", "delivery.mta_sts"],
  ["[tls]", '[delivery]\ndowngrade_hold = "2d"\n[tls]', "delivery.downgrade_hold"],
  ["[tls]", "[mta_sts]\nfetch_port = 8443\n[tls]", "mta_sts.fetch_port"],
  ["[tls]", '[mta_sts]\nfetch_networks = ["10.0.0.0/8"]\n[tls]', "mta_sts.fetch_networks"],
  ["[tls]", "[tls_report]\nsend = false\n[tls]", "tls_report"],
  ["[tls]", '[limits]\nmemory = "1 MiB"\n[tls]', "limits.memory"],
  ["[tls]", "[queue]\nconcurrency = 7\n[tls]", "queue.concurrency"],
  ["[tls]", "[queue]\ndestination_concurrency = 7\n[tls]", "queue.destination_concurrency"],
  ["[tls]", '[queue]\nhistory = "1d"\n[tls]', "queue.history"],
  ["[tls]", "[queue]\nhistory_recipients = 7\n[tls]", "queue.history_recipients"],
  ["[tls]", '[metrics]\naddress = "127.0.0.1:9469"\n[tls]', "metrics"],
  ["[tls]", '[log]\nformat = "json"\n[tls]', "log.format"],
] as const) {
  test(`${key} stays as it runs, and is named`, () => {
    const { config, restart } = changed(search, replacement);
    assert.deepEqual(restart, [key]);
    assert.deepEqual(config, running);
  });
}

test("what needs a restart keeps nothing else back", () => {
  const next = BEFORE.replace("workers = 2", "workers = 3").replace(
    "[tls]",
    '[relay]\nnetworks = ["10.0.0.0/8"]\n[tls]',
  );
  const { config, restart } = takeWhileRunning(running, parsed(next));
  assert.deepEqual(restart, ["workers"]);
  assert.equal(config.workers, 2);
  assert.deepEqual(config.relay.networks, ["10.0.0.0/8"]);
});

test("settings of a listener that are no part of its port are taken", () => {
  const { config, restart } = changed(
    'service = "mx"',
    'service = "mx"\nproxy = ["10.0.0.1/32"]\nsession_tickets = true',
  );
  assert.deepEqual(restart, []);
  assert.deepEqual([config.listeners[0]?.proxy, config.listeners[0]?.sessionTickets], [["10.0.0.1/32"], true]);
});

test("authorities of the source of users are taken, and another source is not", () => {
  const { config, restart } = changed("[[web]]", 'source_ca = ["ca.pem"]\n[[web]]');
  assert.deepEqual(restart, []);
  assert.deepEqual(config.auth.source, { ...running.auth.source, ca: ["/etc/ca.pem"] });
});

test("a file that gets its first certificate needs a restart", () => {
  const bare = parsed('hostname = "h.test"\n[[listener]]\naddress = "127.0.0.1:25"\nservice = "mx"\ntls = "none"\n');
  const next = { ...bare, tls: running.tls };
  assert.deepEqual(takeWhileRunning(bare, next), { config: bare, restart: ["tls"] });
  assert.deepEqual(takeWhileRunning(next, bare), { config: next, restart: ["tls"] });
});
