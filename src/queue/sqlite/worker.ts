import { parentPort, workerData } from "node:worker_threads";
import { assert, EMPTY } from "../../base/index.ts";
import { Engine, openEngine } from "./engine.ts";
import type { BatchMessage, DatabaseSettings, WorkerMessage } from "./protocol.ts";

/** How often free pages and old history are looked for; and while there is much history to be forgotten. */
const TIDY_INTERVAL_MS = 5000;
const TIDY_AGAIN_MS = 200;

const port = parentPort;
assert(port !== null, "this file runs as a worker thread of the store");
const settings = workerData as DatabaseSettings; // handed over by store.ts, the only one to start this worker

function say(message: WorkerMessage, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

const engine = openEngine(settings, (failure) => say({ kind: "reopened", failure }));
if (engine instanceof Engine) {
  let tidying: NodeJS.Timeout | null = null;
  const tidyIn = (wait: number): void => {
    tidying = setTimeout(() => tidyIn(engine.tidy() ? TIDY_AGAIN_MS : TIDY_INTERVAL_MS), wait).unref();
  };
  tidyIn(TIDY_INTERVAL_MS);
  let octets: Uint8Array = EMPTY;
  port.on("message", ({ requests, shared }: BatchMessage) => {
    if (shared !== null) octets = new Uint8Array(shared);
    const results = engine.run({ requests, octets });
    const transfer: ArrayBuffer[] = [];
    for (const result of results) {
      // A body's piece owns its buffer wholly; handing it over saves a copy.
      if (!result.ok || result.answer === null || typeof result.answer !== "object") continue;
      if ("octets" in result.answer && result.answer.octets instanceof Uint8Array) {
        if (result.answer.octets.buffer instanceof ArrayBuffer) transfer.push(result.answer.octets.buffer);
      }
    }
    const closing = requests.some((request) => request.op === "close");
    if (closing) {
      if (tidying !== null) clearTimeout(tidying);
      engine.close();
    }
    say({ kind: "results", results, sync: engine.takeSync() }, transfer);
    if (closing) port.close();
  });
  say({ kind: "ready", lastId: engine.lastId() });
} else {
  say({ kind: "refused", failure: engine });
  port.close();
}
