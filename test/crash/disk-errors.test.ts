// Errors of the disk under the real store, put there by the kernel: by strace at the system calls of the queue's files, and by a limit on
// the size of files, at which a write is first cut short and then refused.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Launch, Node } from "../node.ts";
import { drain, mayTrace, startCrashNode } from "./crash.ts";
import { startHop } from "./hop.ts";
import { type Findings, Ledger } from "./ledger.ts";
import { runStubbornLoad } from "./load.ts";
import { isGone } from "./processes.ts";
import { collectMail, waitingIn } from "./remains.ts";

/** Milliseconds under load. */
const TROUBLED = 2500;
const SENDERS = 4;

interface Trouble {
  readonly title: string;
  readonly under: (data: string) => readonly string[];
  /** Codes that must refuse something; other than 451 and 452 none may. */
  readonly refusing: readonly number[];
  /** Whether mail is taken again to the end, while the daemon runs; null where either may be. */
  readonly recovers: boolean | null;
  readonly traces: boolean;
}

const troubles: readonly Trouble[] = [
  injected("a sync of the log fails now and then", ["-wal", "fsync", "error=EIO:when=20+25"], [451], true),
  injected("every sync of the log fails from some time on", ["-wal", "fsync", "error=EIO:when=30+"], [451], false),
  injected("writes to the log fail for a while", ["-wal", "pwrite64", "error=EIO:when=200..260"], [451], true),
  injected(
    "the disk is full for the log, for a while",
    ["-wal", "pwrite64", "error=ENOSPC:when=200..260"],
    [452],
    true,
  ),
  injected(
    "the disk is full for the log from some time on",
    ["-wal", "pwrite64", "error=ENOSPC:when=300+"],
    [452],
    false,
  ),
  injected("the disk is full for the queue's file", ["", "pwrite64", "error=ENOSPC:when=1+"], [], true),
  {
    title: "writes are cut short, and then refused, where a file may grow no more",
    // 2 MiB, in blocks of 1,024 octets. Without the signal that would end the process.
    under: () => ["bash", "-c", 'trap "" XFSZ; ulimit -f 2048; exec "$@"', "limited"],
    refusing: [451],
    // The log begins anew where it stands, for as long as what waits fits into the file.
    recovers: null,
    traces: false,
  },
];

function injected(
  title: string,
  [suffix, call, fault]: readonly [suffix: string, call: string, fault: string],
  refusing: readonly number[],
  recovers: boolean,
): Trouble {
  const under = (data: string): readonly string[] => {
    const file = `${join(data, "queue.sqlite")}${suffix}`;
    const what = ["-P", file, "-e", `trace=${call}`, "-e", `inject=${call}:${fault}`];
    return ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", ...what];
  };
  return { title, under, refusing, recovers, traces: true };
}

for (const trouble of troubles) {
  const skip = trouble.traces && !mayTrace() ? "strace is not installed or may not trace" : false;
  test(`nothing is lost when ${trouble.title}`, { skip, timeout: 90_000 }, () => survives(trouble));
}

async function survives({ under, refusing, recovers }: Trouble): Promise<void> {
  const ledger = new Ledger();
  let kills = 0;
  let lastAnswer = 0;
  const hop = await startHop({ ledger, kills: () => kills, onTaken: () => {} });
  try {
    await using node = await startCrashNode(hop.port, 1);
    await node.kill("SIGTERM");
    const data = join(node.folder, "data");
    const ended = await start(node, { under: under(data) });
    const end = performance.now() + TROUBLED;
    const over = (): boolean => performance.now() > end || isGone(node.pid);
    const onAnswered = (): void => {
      lastAnswer = performance.now();
    };
    const refusals = await runStubbornLoad({ port: node.ports.mx, senders: SENDERS, ledger, onAnswered }, over);
    assert.equal(ended, false, "it did not start");
    assert.deepEqual(
      [...refusals.keys()].filter((code) => code !== 451 && code !== 452),
      [],
    );
    for (const code of refusing) assert.ok(refusals.has(code), `nothing was refused with ${code}`);
    if (recovers !== null) assert.equal(end - lastAnswer < TROUBLED / 4, recovers, "took mail to the end, or did not");
    await stop(node);
    collectMail(join(data, "mail"), kills, ledger);
    kills++;
    ledger.killed({ kill: kills, point: "trouble", waiting: waitingIn(data), whole: true });
    await node.start();
    await drain(node);
    collectMail(join(data, "mail"), kills, ledger);
    check(ledger.close());
  } finally {
    await hop.stop();
  }
}

/** True where it ended by itself on its way up. */
async function start(node: Node, launch: Launch): Promise<boolean> {
  await node.start(launch);
  return isGone(node.pid);
}

/** As a power cut would, a moment after the last message: what was not written down by then is not. */
async function stop(node: Node): Promise<void> {
  await sleep(100);
  await node.kill("SIGKILL");
  await sleep(50);
}

function check({ acknowledged, lost, altered, falseReports, repeats }: Findings): void {
  assert.ok(acknowledged > 5, "the load did not get going");
  assert.deepEqual({ lost, altered, falseReports }, { lost: [], altered: [], falseReports: [] });
  assert.deepEqual(
    repeats.filter(({ kill }) => kill === null),
    [],
  );
}
