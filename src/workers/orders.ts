import type { Result } from "../base/index.ts";
import type { Answer, Order } from "./protocol.ts";

/** The work of a worker, once it has begun. */
export interface Work<Task, Report, State> {
  /** What the supervisor is told. */
  readonly report: Report;
  /** Another task is given in place of the one before; null: only what that names is to be looked at anew. */
  reload(task: Task | null): Promise<Result<void, readonly string[]>>;
  /** How it is doing now, whatever that is; a structured clone goes over. */
  tell(): Promise<State>;
  /** Gracefully; nothing may keep the process afterwards. */
  stop(): Promise<void>;
}

/**
 * Makes this process a worker: it begins its work when the supervisor says so, and does what that, or a signal, asks from then on. A
 * worker whose supervisor is gone ends at once: the next supervisor needs its ports and its files.
 */
export function serveOrders<Task, Report, State>(
  start: (task: Task) => Promise<Result<Work<Task, Report, State>, readonly string[]>>,
): void {
  let working: Promise<Work<Task, Report, State> | null> | null = null;
  let stopping = false;

  const say = (answer: Answer<Report, State>): void => {
    if (process.connected) process.send?.(answer);
  };
  const begin = async (task: Task): Promise<Work<Task, Report, State> | null> => {
    const started = await start(task);
    say(started.ok ? { kind: "ready", report: started.value.report } : { kind: "failed", problems: started.error });
    return started.ok ? started.value : null;
  };
  const reload = async (task: Task | null): Promise<void> => {
    const reloaded = await (await working)?.reload(task);
    say({ kind: "reloaded", problems: reloaded === undefined || reloaded.ok ? [] : reloaded.error });
  };
  const tell = async (question: number): Promise<void> => {
    const work = await working;
    // Whoever asked goes on without an answer that cannot be given.
    const state = work === null ? null : await work.tell().catch(() => null);
    say({ kind: "told", question, state });
  };
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await (await working)?.stop();
    process.off("disconnect", orphaned);
    if (process.connected) process.disconnect();
  };
  const orphaned = (): never => process.exit(1);

  // The supervisor is this program: what it sends has the type of an order.
  process.on("message", (order: Order<Task>) => {
    if (order.kind === "start") {
      working = begin(order.task);
      void working.then((work) => {
        if (work === null) void stop();
      });
    } else if (order.kind === "reload") void reload(order.task);
    else if (order.kind === "tell") void tell(order.question);
    else void stop();
  });
  process.on("disconnect", orphaned);
  // A terminal or a service manager may tell all processes at once; to be told twice does no harm.
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => void stop());
  process.on("SIGHUP", () => void reload(null));
}
