import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { later, unwrap } from "../base/index.ts";
import { type Config, parseConfig, workerFolder, workerQueueFile, workersWithQueue } from "../config/index.ts";
import { systemClock } from "../net/index.ts";
import { openSqliteStore } from "../queue/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { openAdmin, openStoppedWorker } from "./admin.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-stopped-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const config: Config = unwrap(
  parseConfig(
    'hostname = "a.test"\n[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\ntls = "none"\n',
    join(folder, "postern.toml"),
  ),
);

/** Puts a message into the queue of a worker, which it makes. */
async function queueAt(worker: number): Promise<string> {
  mkdirSync(workerFolder(config, worker), { recursive: true });
  const path = workerQueueFile(config, worker);
  const store = await openSqliteStore({ path, clock: systemClock, lane: worker - 1 });
  const draft = store.createDraft();
  await draft.append(new Uint8Array(4));
  const now = systemClock.now();
  await draft.keep({
    id: draft.id,
    receivedAt: now,
    expiresAt: later(now, 3_600_000),
    reversePath: null,
    parameters: {},
    origin: { service: "local", sessionId: null, address: null, hello: null, identity: null, tls: null },
    recipients: [{ mailbox: unwrap(parseMailbox("a@b.test")), parameters: {} }],
    size: 4,
  });
  await store.close();
  return draft.id;
}

test("of stopped workers each queue is opened, those of former ones too, and none is made by looking", async () => {
  const ids = [await queueAt(1), await queueAt(2), await queueAt(7)];
  assert.deepEqual(workersWithQueue(config), [1, 2, 7]);
  const admin = unwrap(await openAdmin(config));
  assert.deepEqual(
    (await admin.list({ limit: 10 })).map(({ id }) => id),
    ids.toSorted(),
  );
  assert.equal((await admin.counts()).messages, 3);
  await admin.close();

  const second = unwrap(await openStoppedWorker(config, 2));
  assert.deepEqual(
    (await second.list({ limit: 10 })).map(({ id }) => id),
    [ids[1]],
  );
  await second.close();

  const never = unwrap(await openStoppedWorker(config, 3));
  assert.deepEqual(await never.list({ limit: 10 }), []);
  await never.close();
  assert.equal(existsSync(workerFolder(config, 3)), false);
});
