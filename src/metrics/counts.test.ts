import assert from "node:assert/strict";
import { test } from "node:test";
import { type Log, type LogFields, silentLog } from "../base/index.ts";
import { type Counts, countingLog } from "./counting-log.ts";
import { daemonCounts, sessionCounts, supervisorCounts } from "./counts.ts";
import { formatReadings } from "./exposition.ts";
import { Meter } from "./meter.ts";

/** The lines of what is not 0, without the names' beginnings. */
function counted(meter: Meter): readonly string[] {
  return formatReadings(meter.readings())
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#") && !line.endsWith(" 0"))
    .map((line) => line.replace("postern_", ""));
}

type Events = readonly (readonly [string, LogFields])[];

function countedOf(make: (meter: Meter) => Counts, events: Events): readonly string[] {
  const meter = new Meter();
  const log = countingLog(silentLog, meter, make(meter)).child({ session: "s" });
  for (const [event, fields] of events) log.info(event, fields);
  return counted(meter);
}

const ofSessions = (meter: Meter): Counts => sessionCounts(meter, { service: "mx", tls: "starttls" });
const ofDaemon = (meter: Meter): Counts => daemonCounts(meter, ["mx"]);

test("connections are counted by listener, from their beginning to their end", () => {
  assert.deepEqual(
    countedOf(ofSessions, [
      ["session.opened", { peer: "192.0.2.1" }],
      ["session.opened", {}],
      ["session.opened", {}],
      ["session.closed", {}],
      ["session.turned-away", {}],
      ["session.secured", { version: "TLSv1.3" }],
      ["session.tls-failed", {}],
      ["session.authenticated", { identity: "ann@here.test", mechanism: "PLAIN" }],
    ]),
    [
      'connections_total{service="mx",tls="starttls"} 3',
      'connections_open{service="mx",tls="starttls"} 2',
      'connections_turned_away_total{service="mx",tls="starttls"} 1',
      'tls_sessions_total{service="mx",version="TLSv1.3"} 1',
      'tls_failures_total{service="mx"} 1',
      'authentications_total{result="accepted",mechanism="PLAIN"} 1',
    ],
  );
});

test("refusals are told by code, class and subject; what comes behind is nobody's label", () => {
  const refused = (reply: string): Events => [["session.refused", { reply }]];
  const label = (reply: string): string | undefined => countedOf(ofSessions, refused(reply))[0];
  assert.equal(label("550 5.1.1 no such user <x@y>"), 'refusals_total{service="mx",code="550",status="5.1"} 1');
  assert.equal(label("421 4.3.2"), 'refusals_total{service="mx",code="421",status="4.3"} 1');
  assert.equal(label("502 not here"), 'refusals_total{service="mx",code="502",status="none"} 1');
  assert.equal(label("452 4.3.1 full"), 'refusals_total{service="mx",code="452",status="4.3"} 1');
  assert.equal(label('nothing like "a" reply'), 'refusals_total{service="mx",code="none",status="none"} 1');
});

test("messages are counted with their recipients and octets, and logins by what came of them", () => {
  assert.deepEqual(
    countedOf(ofDaemon, [
      ["intake.message.accepted", { service: "mx", recipients: 3, size: 1000 }],
      ["intake.message.accepted", { service: "mx", recipients: 1, size: 24 }],
      ["intake.message.refused", {}],
      ["intake.message.failed", {}],
      ["intake.auth.refused", { mechanism: "LOGIN" }],
      ["intake.auth.deferred", { reason: "busy" }],
    ]),
    [
      'authentications_total{result="refused",mechanism="LOGIN"} 1',
      'authentications_total{result="deferred",mechanism="none"} 1',
      'messages_accepted_total{service="mx"} 2',
      'recipients_accepted_total{service="mx"} 4',
      'accepted_bytes_total{service="mx"} 1024',
      'messages_not_taken_total{reason="refused"} 1',
      'messages_not_taken_total{reason="failed"} 1',
    ],
  );
});

test("deliveries are told by outcome: expiry is no refusal, and what a host refuses is no want of proof", () => {
  assert.deepEqual(
    countedOf(ofDaemon, [
      ["queue.delivered", {}],
      ["queue.deferred", { status: "4.7.5" }],
      ["queue.deferred", { status: "4.7.5", code: 454 }],
      ["queue.failed", { status: "5.7.1", code: 550 }],
      ["queue.failed", { status: "5.7.30" }],
      ["queue.failed", { status: "4.4.7" }],
      ["queue.failed", { status: "5.4.7", code: 451 }],
      ["delivery.transaction", { proven: "dane", accepted: 4 }],
      ["delivery.transaction", { proven: "clear", accepted: 0 }],
      ["delivery.host.failed", { kind: "tls" }],
      ["delivery.downgrade.held", {}],
      ["queue.reported", {}],
      ["trust.report.failed", {}],
    ]),
    [
      'deliveries_total{outcome="delivered"} 1',
      'deliveries_total{outcome="deferred"} 2',
      'deliveries_total{outcome="failed"} 2',
      'deliveries_total{outcome="expired"} 2',
      'deliveries_proven_total{proven="dane"} 4',
      'deliveries_insecure_total{outcome="deferred"} 1',
      'deliveries_insecure_total{outcome="failed"} 1',
      'host_failures_total{kind="tls"} 1',
      "downgrades_held_total 1",
      'reports_total{kind="delivery",result="sent"} 1',
      'reports_total{kind="tls",result="failed"} 1',
    ],
  );
});

test("warnings and errors are counted by name, and every line goes on as it was", () => {
  const lines: string[] = [];
  const keep = (level: string) => (event: string, fields?: LogFields) => {
    lines.push(`${level} ${event} ${JSON.stringify(fields)}`);
  };
  const inner: Log = {
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
    child: (fields) => ({ ...inner, info: keep(`info of ${JSON.stringify(fields)}`) }),
  };
  const meter = new Meter();
  const log = countingLog(inner, meter, supervisorCounts(meter));
  log.debug("web.answered", { status: 200 });
  log.info("session.closed");
  log.child({ session: "s" }).info("session.closed", {});
  log.warn("intake.disk.low", { free: 1 });
  log.error("worker.died", { worker: 1 });
  log.error("worker.died", { worker: 1 });
  assert.deepEqual(lines, [
    'debug web.answered {"status":200}',
    "info session.closed undefined",
    'info of {"session":"s"} session.closed {}',
    'warn intake.disk.low {"free":1}',
    'error worker.died {"worker":1}',
    'error worker.died {"worker":1}',
  ]);
  assert.deepEqual(counted(meter), [
    'log_events_total{level="warn",event="intake.disk.low"} 1',
    'log_events_total{level="error",event="worker.died"} 2',
    "worker_deaths_total 2",
  ]);
});
