import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** A mail server under measurement. */
export interface Subject {
  readonly name: string;
  /** Takes mail for `…@discard.test` and throws it away after queueing; relays all else to the sink. */
  readonly port: number;
  /** Root of its processes. */
  readonly pid: number;
  stop(): Promise<void>;
}

export interface SubjectOptions {
  readonly port: number;
  readonly sinkPort: number;
  /** Opportunistic STARTTLS towards the sink when true, clear text else. */
  readonly relayTls: boolean;
  readonly certificate: string;
  readonly privateKey: string;
  /** The largest message taken; default 50. */
  readonly messageMiB?: number;
  /** For servers that run in Node. */
  readonly node?: NodeOptions;
  /** What only Postern understands. */
  readonly postern?: PosternOptions;
}

export interface NodeOptions {
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface PosternOptions {
  /** Sections of the configuration that come before the route to the sink. */
  readonly config?: string;
  /** Puts files into its data folder before it starts. */
  readonly prepare?: (dataFolder: string) => Promise<void>;
}

const TICKS_PER_SECOND = 100;

/** CPU seconds used so far by `pid`, its living descendants, and those of them that were waited for. */
export function cpuSeconds(pid: number): number {
  const times = new Map<number, { parent: number; own: number; reaped: number }>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = statFields(entry);
    if (fields === null) continue;
    const [parent, user, system, childUser, childSystem] = [1, 11, 12, 13, 14].map((at) => Number(fields[at]));
    if (parent === undefined || user === undefined || system === undefined) continue;
    times.set(Number(entry), { parent, own: user + system, reaped: (childUser ?? 0) + (childSystem ?? 0) });
  }
  let ticks = 0;
  const family = [pid];
  for (let member = family.pop(); member !== undefined; member = family.pop()) {
    const time = times.get(member);
    if (time === undefined) continue;
    ticks += time.own + time.reaped;
    for (const [child, { parent }] of times) if (parent === member) family.push(child);
  }
  return ticks / TICKS_PER_SECOND;
}

/** The fields of /proc/PID/stat behind the command name, or null when the process is gone. */
function statFields(pid: string): readonly string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}

/** Peak resident memory of one process in MiB. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

/** Resident memory of one process now, MiB. */
export function residentMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

/** Resident memory now of what one process got from malloc in its main arena (`brk`), MiB: what is native, for the most part. */
export function mallocHeap(pid: number): number {
  const maps = readFileSync(`/proc/${pid}/smaps`, "latin1");
  return Number(/\[heap\]\n(?:.+\n)*?Rss:\s+(\d+) kB/.exec(maps)?.[1] ?? 0) / 1024;
}

/** Makes the present memory of one process the peak that is known of it. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
