// What is counted by which event. The names are those of docs/events.md, and a test holds them to it.
import type { LogFields } from "../base/index.ts";
import { cellsBy, known } from "./cells-by.ts";
import type { Count, Counts } from "./counting-log.ts";
import type { Cell, Meter } from "./meter.ts";

/** A listener, as labels name it. */
export interface Entry {
  readonly service: string;
  readonly tls: string;
}

/** Statuses of mail whose time is over, which nobody refused (RFC 3463 §3.5: X.4.7). */
const EXPIRED: ReadonlySet<string> = new Set(["4.4.7", "5.4.7"]);

/** Statuses of mail that was not sent because something was not proven: RFC 3463 §3.8 (X.7.4, X.7.5, X.7.10) and RFC 8689 §7 (X.7.30). */
const INSECURE = /^[45]\.7\.(4|5|10|30)$/;

/** What connections may have proven, and what keeps hosts from a transaction: counted from 0, so that the first of each is seen to come. */
const PROVEN = ["dane", "mta-sts", "verified", "encrypted", "opportunistic", "clear"];
const HOST_FAILURES = ["network", "refused", "protocol", "timeout", "closed", "tls"];

/** What is counted of connections to one listener: give these to the log of its sessions. */
export function sessionCounts(meter: Meter, { service, tls }: Entry): Counts {
  const taken = meter.cell("connections", service, tls);
  const open = meter.cell("connectionsOpen", service, tls);
  const turnedAway = meter.cell("turnedAway", service, tls);
  const failed = meter.cell("tlsFailures", service);
  const secured = cellsBy(meter, "tlsSessions", service);
  const refused = known((beginning) => meter.cell("refusals", service, ...replyClass(beginning)));
  if (tls !== "none") for (const version of ["TLSv1.2", "TLSv1.3"]) secured(version);
  return new Map<string, Count>([
    [
      "session.opened",
      () => {
        taken.value++;
        open.value++;
      },
    ],
    ["session.closed", () => void open.value--],
    ["session.turned-away", () => void turnedAway.value++],
    ["session.secured", ({ version }) => void secured(word(version)).value++],
    ["session.tls-failed", () => void failed.value++],
    [
      "session.refused",
      ({ reply }) => {
        refused(word(reply).slice(0, REPLY_CLASS)).value++;
      },
    ],
    ...logins(meter),
  ]);
}

/** What is counted of everything else. `services`: those that take mail. */
export function daemonCounts(meter: Meter, services: readonly string[]): Counts {
  return new Map([...logins(meter), ...messages(meter, services), ...deliveries(meter), ...reports(meter)]);
}

function logins(meter: Meter): readonly (readonly [string, Count])[] {
  const login = (result: string): Count => {
    return ({ mechanism }) => void meter.cell("authentications", result, word(mechanism)).value++;
  };
  return [
    ["session.authenticated", login("accepted")],
    ["intake.auth.refused", login("refused")],
    ["intake.auth.unbound", login("refused")],
    ["intake.auth.deferred", login("deferred")],
    ["intake.auth.failed", login("deferred")],
  ];
}

function messages(meter: Meter, services: readonly string[]): readonly (readonly [string, Count])[] {
  const count = cellsBy(meter, "messages");
  const recipientsOf = cellsBy(meter, "recipients");
  const octetsOf = cellsBy(meter, "octets");
  for (const service of services) for (const cells of [count, recipientsOf, octetsOf]) cells(service);
  const notTaken = (reason: string): readonly [string, Count] => {
    const cell = meter.cell("messagesFailed", reason);
    return [`intake.message.${reason}`, () => void cell.value++];
  };
  return [
    [
      "intake.message.accepted",
      ({ service, recipients, size }) => {
        const name = word(service);
        count(name).value++;
        recipientsOf(name).value += number(recipients);
        octetsOf(name).value += number(size);
      },
    ],
    notTaken("refused"),
    notTaken("aborted"),
    notTaken("failed"),
  ];
}

function deliveries(meter: Meter): readonly (readonly [string, Count])[] {
  const outcome = (of: string): Cell => meter.cell("deliveries", of);
  const [delivered, deferred, failed, expired] = [
    outcome("delivered"),
    outcome("deferred"),
    outcome("failed"),
    outcome("expired"),
  ];
  const insecure = { deferred: meter.cell("insecure", "deferred"), failed: meter.cell("insecure", "failed") };
  const proven = cellsBy(meter, "proven");
  for (const each of PROVEN) proven(each);
  const hostFailures = cellsBy(meter, "hostFailures");
  for (const each of HOST_FAILURES) hostFailures(each);
  const downgrades = meter.cell("downgrades");
  return [
    ["queue.delivered", () => void delivered.value++],
    [
      "queue.deferred",
      (fields) => {
        deferred.value++;
        if (isInsecure(fields)) insecure.deferred.value++;
      },
    ],
    [
      "queue.failed",
      (fields) => {
        const isExpired = typeof fields.status === "string" && EXPIRED.has(fields.status);
        (isExpired ? expired : failed).value++;
        if (isInsecure(fields)) insecure.failed.value++;
      },
    ],
    [
      "delivery.transaction",
      ({ proven: what, accepted }) => {
        proven(word(what)).value += number(accepted);
      },
    ],
    ["delivery.host.failed", ({ kind }) => void hostFailures(word(kind)).value++],
    ["delivery.downgrade.held", () => void downgrades.value++],
  ];
}

function reports(meter: Meter): readonly (readonly [string, Count])[] {
  const report = (event: string, kind: string, result: string): readonly [string, Count] => {
    const cell = meter.cell("reports", kind, result);
    return [event, () => void cell.value++];
  };
  return [
    report("queue.reported", "delivery", "sent"),
    report("queue.report.broke", "delivery", "failed"),
    report("trust.report.sent", "tls", "sent"),
    report("trust.report.failed", "tls", "failed"),
  ];
}

/** What is counted by the supervisor of workers. */
export function supervisorCounts(meter: Meter): Counts {
  const deaths = meter.cell("deaths");
  return new Map([["worker.died", () => void deaths.value++]]);
}

/** Ours, not a host's: those come with the code of its reply. */
function isInsecure({ status, code }: LogFields): boolean {
  return code === undefined && typeof status === "string" && INSECURE.test(status);
}

/** Characters of `550 5.7.`, which tell the class of a reply. */
const REPLY_CLASS = 8;

/** Code, and class and subject of the enhanced status, as labels: there are some dozen codes, and eight subjects. */
function replyClass(beginning: string): readonly [string, string] {
  const [, code = "none", status = "none"] = /^([45]\d\d)(?: ([45]\.[0-7])\.)?/.exec(beginning) ?? [];
  return [code, status];
}

function word(value: LogFields[string]): string {
  return typeof value === "string" ? value : "none";
}

function number(value: LogFields[string]): number {
  return typeof value === "number" ? value : 0;
}
