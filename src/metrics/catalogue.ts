/** One thing that is measured; docs/metrics.md lists them all. */
export interface Definition {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Names of its labels. Their values come from sets that no peer can enlarge. */
  readonly labels: readonly string[];
  /** What the values of several processes come to; default: their sum. */
  readonly together?: "sum" | "least";
  /** A gauge that is as true of a worker that is gone: its queue is still there. Counters and histograms always are. */
  readonly outlives?: true;
  /** Only of a histogram: the upper bounds of its buckets. */
  readonly bounds?: readonly number[];
  /** It says which process it is of, and may begin anew with that: nothing is carried over. */
  readonly ofProcess?: true;
}

/** Seconds, from a quick disk to what a client would call late. */
const COMMIT_BOUNDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

const counter = (name: string, labels: readonly string[], help: string): Definition => ({
  name: `postern_${name}_total`,
  type: "counter",
  help,
  labels,
});
const gauge = (name: string, labels: readonly string[], help: string, more: Partial<Definition> = {}): Definition => ({
  name: `postern_${name}`,
  type: "gauge",
  help,
  labels,
  ...more,
});
const histogram = (name: string, help: string): Definition => ({
  name: `postern_${name}`,
  type: "histogram",
  help,
  labels: [],
  bounds: COMMIT_BOUNDS,
});

const ENTRY = ["service", "tls"];
const WORKER = ["worker"];
const OUTLIVES = { outlives: true } as const;
const LEAST = { together: "least", outlives: true } as const;
const OF_PROCESS = { ofProcess: true } as const;

/** Everything that is measured, in the order in which it is told. Names are an interface: one once given keeps its meaning. */
const CATALOGUE = {
  build: gauge("build_info", ["version", "node"], "Always 1; the labels tell what runs.", { together: "least" }),

  connections: counter("connections", ENTRY, "Connections that were taken."),
  connectionsOpen: gauge("connections_open", ENTRY, "Connections that are open."),
  turnedAway: counter("connections_turned_away", ENTRY, "Connections beyond a limit in all or of one address."),
  tlsSessions: counter("tls_sessions", ["service", "version"], "TLS handshakes of clients that were done."),
  tlsFailures: counter("tls_failures", ["service"], "TLS handshakes of clients that were not done."),
  refusals: counter(
    "refusals",
    ["service", "code", "status"],
    "4yz and 5yz replies to commands and messages; status is class and subject of the enhanced status.",
  ),
  authentications: counter("authentications", ["result", "mechanism"], "Logins that were tried, by what came of them."),

  messages: counter("messages_accepted", ["service"], "Messages that were synced to disk and answered with 250."),
  recipients: counter("recipients_accepted", ["service"], "Recipients of these messages."),
  octets: counter("accepted_bytes", ["service"], "Octets of these messages."),
  messagesFailed: counter(
    "messages_not_taken",
    ["reason"],
    "Messages that were offered whole or in part and not taken.",
  ),
  keeping: histogram("accept_seconds", "From a message that is whole to its commit, which the 250 follows."),
  sync: histogram(
    "sync_seconds",
    "What the disk took of one commit; a commit serves all messages and outcomes that wait for it.",
  ),

  deliveries: counter("deliveries", ["outcome"], "Recipients an attempt was finished for, by what came of it."),
  proven: counter(
    "deliveries_proven",
    ["proven"],
    "Recipients taken by a next hop, by what its connection had proven.",
  ),
  insecure: counter(
    "deliveries_insecure",
    ["outcome"],
    "Recipients of whom the mail was not sent because what must be proven was not; contained in postern_deliveries_total.",
  ),
  hostFailures: counter(
    "host_failures",
    ["kind"],
    "Attempts at a host that led to no transaction, by what was in the way.",
  ),
  downgrades: counter(
    "downgrades_held",
    [],
    "Attempts at hosts that showed less than they proved before, which was refused.",
  ),
  reports: counter("reports", ["kind", "result"], "Reports on deliveries to senders, and on TLS to other domains."),

  queued: gauge("queue_messages", [], "Messages in the queue when it was counted last.", OUTLIVES),
  queuedRecipients: gauge("queue_recipients", [], "Recipients who wait, when it was counted last.", OUTLIVES),
  queuedHeld: gauge("queue_held_messages", [], "Messages on hold when it was counted last.", OUTLIVES),
  queuedOctets: gauge("queue_bytes", [], "Octets of the messages in the queue when it was counted last.", OUTLIVES),
  counted: gauge("queue_counted_timestamp_seconds", [], "When the queue was counted last.", LEAST),
  oldest: gauge(
    "queue_oldest_timestamp_seconds",
    [],
    "When the oldest message of the queue came; absent when it is empty.",
    LEAST,
  ),
  nextDue: gauge(
    "queue_next_due_timestamp_seconds",
    [],
    "When the next recipient in the queue is due; in the past: so long it has waited for its turn. Absent when none is.",
    LEAST,
  ),
  claimed: gauge(
    "queue_in_flight_recipients",
    [],
    "Recipients in memory: being delivered, or waiting there for their turn.",
  ),
  delivering: gauge("queue_deliveries", [], "Deliveries under way."),
  destinations: gauge("queue_destinations", [], "Destinations of what is in memory."),
  bodies: gauge("queue_memory_bytes", [], "Octets of bodies in memory."),

  logged: counter(
    "log_events",
    ["level", "event"],
    "Lines of the levels warn and error, whether they are written or not.",
  ),

  workers: gauge("workers", [], "Processes that are to serve."),
  workerUp: gauge(
    "worker_up",
    WORKER,
    "1: it has just told what it measured. 0: it has not, and what it told last counts.",
    OF_PROCESS,
  ),
  deaths: counter("worker_deaths", [], "Workers that ended without having been told to."),

  cpu: {
    ...counter("process_cpu_seconds", ["worker", "mode"], "Seconds of processor time."),
    ...OF_PROCESS,
  },
  started: gauge("process_start_time_seconds", WORKER, "When it began.", OF_PROCESS),
  resident: gauge("process_resident_memory_bytes", WORKER, "Memory that it holds (RSS).", OF_PROCESS),
  heap: gauge("process_heap_bytes", WORKER, "Of that, what objects take.", OF_PROCESS),
  external: gauge(
    "process_external_memory_bytes",
    WORKER,
    "Of that, buffers and other memory beside the heap.",
    OF_PROCESS,
  ),
  handles: gauge("process_open_handles", WORKER, "Open files and sockets.", OF_PROCESS),
  loopDelay: gauge(
    "process_event_loop_delay_seconds",
    WORKER,
    "By how much the event loop was late in the last seconds: the 99th percentile.",
    OF_PROCESS,
  ),
} as const satisfies Record<string, Definition>;

export type MetricName = keyof typeof CATALOGUE;

/** Of one metric, by `MetricName`. */
export function definitionOf(name: MetricName): Definition {
  return CATALOGUE[name];
}

/** All of them, in order. */
export const metricNames: readonly MetricName[] = Object.keys(CATALOGUE) as MetricName[]; // `keys` says string of any object

/**
 * What was measured at one moment: for each metric its series, named as the text format writes them behind the metric's name
 * (`{service="mx"}`, `_bucket{le="1"}`), with their values. Can be sent to another process as a structured clone.
 */
export type Readings = ReadonlyMap<MetricName, ReadonlyMap<string, number>>;
