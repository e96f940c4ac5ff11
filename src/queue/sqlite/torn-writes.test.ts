import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import fc from "fast-check";
import { DEFAULT_HISTORY } from "../history.ts";
import { Engine } from "./engine.ts";
import type { MessageColumns, Request } from "./protocol.ts";

/*
 * The power goes: of what was written behind the last sync any sectors may be on the disk and any not. Files as such a moment may leave them
 * are made from what the engine wrote, and opened. That the sync itself is asked for is `test/crash/disk-errors.test.ts`'s to show.
 */

const SECTOR = 512;
const SIZES = [40, 4096, 30_000, 900];
const OCTETS = new Uint8Array(64 * 1024).map((_, at) => at % 251);

/** What the file held once a sync had returned. */
interface Synced {
  /** Octets of the log. */
  readonly logged: number;
  readonly state: string;
}

function message(id: number, size: number): MessageColumns {
  const recipient = (localPart: string) => ({ localPart, domain: "x.test", parameters: "{}" });
  return {
    id,
    receivedAt: id,
    expiresAt: id + 1000,
    size,
    senderLocal: "a",
    senderDomain: "y.test",
    parameters: "{}",
    origin: "{}",
    priority: 0,
    dueAt: id,
    recipients: [recipient("b"), recipient("c")],
  };
}

function outcome(index: number, kind: "delivered" | "deferred") {
  const nextAttempt = kind === "deferred" ? 5000 : null;
  return {
    index,
    kind,
    outcome: "{}",
    nextAttempt,
    warned: false,
    counted: true,
    event: kind,
    text: "said so",
  } as const;
}

/** Batches as a daemon sends them: mail comes whole and in pieces, some is over at once, some waits, some is over later. */
function batches(): Request[][] {
  const all: Request[][] = [];
  for (let turn = 0; turn < 24; turn++) {
    const id = 100 + turn * 10;
    const size = SIZES[turn % SIZES.length] ?? 40;
    const octets = { from: 0, length: size };
    if (turn % 4 === 3) {
      all.push([{ op: "append", draft: id, chunk: id, octets }], [{ op: "append", draft: id, chunk: id + 1, octets }]);
      all.push([{ op: "keep", message: message(id, 2 * size), claim: true, octets: null }]);
    } else all.push([{ op: "keep", message: message(id, size), claim: true, octets }]);
    const settle = (kinds: readonly ("delivered" | "deferred")[]): Request => {
      return {
        op: "settle",
        id,
        at: id + 5,
        recipients: kinds.map((kind, index) => outcome(index, kind)),
        report: null,
      };
    };
    if (turn % 3 === 0) all.push([settle(["delivered", "delivered"])]);
    if (turn % 3 === 1) all.push([settle(["delivered", "deferred"]), { op: "hold", id, at: id + 6 }]);
  }
  return all;
}

/** All that the file says of mail that was kept; drafts are nobody's yet. Fails when the file is damaged. */
function stateOf(path: string): string {
  using database = new DatabaseSync(path);
  const rows = (sql: string) => database.prepare(sql).all();
  assert.deepEqual(
    rows("PRAGMA integrity_check").map((row) => row.integrity_check),
    ["ok"],
  );
  return JSON.stringify([
    rows("SELECT * FROM message ORDER BY id"),
    rows("SELECT * FROM recipient ORDER BY message, place"),
    rows(
      `SELECT chunk.id, length(octets), hex(octets) FROM chunk JOIN message ON message.id = chunk.message ORDER BY chunk.id`,
    ),
    rows("SELECT * FROM story ORDER BY id"),
    rows("SELECT * FROM history ORDER BY id"),
  ]);
}

interface Written {
  readonly path: string;
  readonly database: Uint8Array;
  readonly log: Uint8Array;
  readonly synced: readonly Synced[];
  /** Puts `database` and `log` where a start would find them, and tells what it finds. */
  found(database: Uint8Array, log: Uint8Array): Promise<string>;
}

async function write(body: (written: Written) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "postern-torn-"));
  const path = join(folder, "queue.db");
  const open = (at: string): Engine => {
    const settings = { path: at, role: "owner", maxFileSize: null, history: DEFAULT_HISTORY } as const;
    return new Engine({ settings, lock: null, onReopen: () => {} });
  };
  const engine = open(path);
  try {
    const synced: Synced[] = [];
    const note = async () => synced.push({ logged: (await readFile(`${path}-wal`)).length, state: stateOf(path) });
    await note();
    for (const requests of batches()) {
      const results = engine.run({ requests, octets: OCTETS });
      assert.ok(results.every(({ ok }) => ok));
      if (requests.some(({ op }) => op !== "append")) await note();
    }
    const [database, log] = [await readFile(path), await readFile(`${path}-wal`)];
    let images = 0;
    const found = async (itsDatabase: Uint8Array, itsLog: Uint8Array): Promise<string> => {
      const image = join(folder, `image-${images++}.db`);
      await Promise.all([writeFile(image, itsDatabase), writeFile(`${image}-wal`, itsLog)]);
      open(image).close();
      const state = stateOf(image);
      await Promise.all(["", "-wal", "-shm"].map((end) => rm(`${image}${end}`, { force: true })));
      return state;
    };
    await body({ path, database, log, synced, found });
  } finally {
    engine.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** `after` with those sectors behind `from` that `isWritten` says; the others as in `before`, or nothing but zeros. */
function torn(before: Uint8Array, after: Uint8Array, from: number, isWritten: (sector: number) => boolean): Uint8Array {
  const image = new Uint8Array(after.length);
  image.set(before.subarray(0, after.length));
  image.set(after.subarray(0, from));
  for (let at = from; at < after.length; at = (Math.floor(at / SECTOR) + 1) * SECTOR) {
    const end = Math.min((Math.floor(at / SECTOR) + 1) * SECTOR, after.length);
    if (isWritten(Math.floor(at / SECTOR))) image.set(after.subarray(at, end), at);
  }
  return image;
}

const chance = fc.record({
  at: fc.nat(),
  /** How likely a sector is on the disk, in sixteenths; from 16 on all are. */
  share: fc.integer({ min: 0, max: 23 }),
  sectors: fc.array(fc.nat(15), { minLength: 97, maxLength: 97 }),
  /** Octets of the log behind the last sync that the file has grown by; the rest it has not. */
  cut: fc.nat(),
});

const nothing = new Uint8Array(0);

test(
  "a log torn behind the last sync leaves what was synced, and of the next commit all or nothing",
  { timeout: 60_000 },
  () =>
    write(async ({ database, log, synced, found }) => {
      const seen = { before: 0, after: 0 };
      await fc.assert(
        fc.asyncProperty(chance, async ({ at, share, sectors, cut }) => {
          const place = at % (synced.length - 1);
          const [last, next] = [synced[place], synced[place + 1]];
          assert.ok(last !== undefined && next !== undefined);
          const whole = share >= 16;
          const end = whole ? next.logged : next.logged - (cut % (next.logged - last.logged));
          const isWritten = (sector: number) => (sectors[sector % sectors.length] ?? 0) < share;
          const state = await found(database, torn(nothing, log.subarray(0, end), last.logged, isWritten));
          assert.ok(state === last.state || state === next.state, "neither what was synced nor what came next");
          if (whole) assert.equal(state, next.state);
          seen[state === last.state ? "before" : "after"]++;
        }),
        { numRuns: 300 },
      );
      assert.ok(seen.before > 20 && seen.after > 20, JSON.stringify(seen));
    }),
);

test("a database torn while the log goes into it is whole again, for the log is", { timeout: 60_000 }, () =>
  write(async ({ path, database, log, synced, found }) => {
    const copy = `${path}.copy`;
    await copyFile(path, copy);
    await copyFile(`${path}-wal`, `${copy}-wal`);
    const moving = new DatabaseSync(copy);
    moving.exec("PRAGMA wal_checkpoint(FULL)");
    const moved = await readFile(copy);
    moving.close();
    assert.notDeepEqual(moved, database);
    await fc.assert(
      fc.asyncProperty(chance, async ({ share, sectors, cut }) => {
        const isWritten = (sector: number) => (sectors[sector % sectors.length] ?? 0) < share;
        const length =
          moved.length - (share >= 16 ? 0 : cut % (moved.length - Math.min(moved.length - 1, database.length)));
        assert.equal(await found(torn(database, moved.subarray(0, length), 0, isWritten), log), synced.at(-1)?.state);
      }),
      { numRuns: 150 },
    );
  }),
);
