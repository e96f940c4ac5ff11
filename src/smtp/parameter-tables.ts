import { formatMailbox, type Mailbox, parseMailbox } from "./address.ts";
import { MAX_AUTH_PARAMETER, MAX_ENVID } from "./limits.ts";
import { formatOriginalRecipient, readOriginalRecipient } from "./original-recipient.ts";
import type { MailParameters, RcptParameters } from "./parameters.ts";
import { hasControls, isAscii } from "./text.ts";
import { formatXtext, parseXtext } from "./xtext.ts";

/** One parameter. A new one is a key of `MailParameters` or `RcptParameters` and one row. */
export interface ParameterRow<P> {
  readonly keyword: string;
  /** The EHLO keyword without which the parameter is unknown. */
  readonly extension: string;
  /** The accepted form, for the 501. */
  readonly expected: string;
  /** What the value says, or null where it is wrong. `value` is null where none was given. */
  read(value: string | null, offered: ReadonlySet<string>): Partial<P> | null;
  /** The value to write, true for a keyword alone, null where the parameter is absent. */
  write(parameters: P): string | true | null;
}

/** In the order in which a client writes them. */
export const mailTable: readonly ParameterRow<MailParameters>[] = [
  {
    keyword: "SIZE",
    extension: "SIZE",
    expected: "SIZE=octets",
    read: (value) => {
      if (value === null || !/^[0-9]{1,20}$/.test(value)) return null; // RFC 1870 §6: 1*20DIGIT
      return { size: Math.min(Number(value), Number.MAX_SAFE_INTEGER) };
    },
    write: ({ size }) => (size === undefined ? null : String(size)),
  },
  {
    keyword: "BODY",
    extension: "8BITMIME",
    expected: "BODY=7BIT, BODY=8BITMIME, or BODY=BINARYMIME where it is offered",
    read: (value, offered) => {
      const body = value?.toUpperCase();
      if (body === "7BIT" || body === "8BITMIME") return { body };
      return body === "BINARYMIME" && offered.has("BINARYMIME") ? { body } : null;
    },
    write: ({ body }) => body ?? null,
  },
  {
    keyword: "SMTPUTF8",
    extension: "SMTPUTF8",
    expected: "SMTPUTF8 without a value",
    read: (value) => (value === null ? { smtputf8: true } : null),
    write: ({ smtputf8 }) => smtputf8 ?? null,
  },
  {
    keyword: "AUTH",
    extension: "AUTH",
    expected: "AUTH=<> or AUTH=mailbox in xtext",
    read: (value) => {
      const auth = value === null ? undefined : readAuth(value);
      return auth === undefined ? null : { auth };
    },
    write: ({ auth }) => {
      if (auth === undefined) return null;
      return auth === null ? "<>" : formatXtext(formatMailbox(auth));
    },
  },
  {
    keyword: "RET",
    extension: "DSN",
    expected: "RET=FULL or RET=HDRS",
    read: (value) => {
      const ret = value?.toUpperCase();
      return ret === "FULL" || ret === "HDRS" ? { ret } : null;
    },
    write: ({ ret }) => ret ?? null,
  },
  {
    keyword: "ENVID",
    extension: "DSN",
    expected: "ENVID=printable ASCII in xtext, at most 100 octets",
    read: (value) => {
      if (value === null || value.length > MAX_ENVID) return null;
      const envid = parseXtext(value);
      return envid.ok && isAscii(envid.value) && !hasControls(envid.value) ? { envid: envid.value } : null;
    },
    write: ({ envid }) => (envid === undefined ? null : formatXtext(envid)),
  },
  {
    keyword: "REQUIRETLS",
    extension: "REQUIRETLS",
    expected: "REQUIRETLS without a value",
    read: (value) => (value === null ? { requireTls: true } : null),
    write: ({ requireTls }) => requireTls ?? null,
  },
  {
    keyword: "BY",
    extension: "DELIVERBY",
    expected: "BY=seconds;R with more than 0 seconds, or BY=seconds;N, either with a T behind it",
    read: (value) => {
      const by = value === null ? null : readBy(value);
      return by === null ? null : { by };
    },
    write: ({ by }) => (by === undefined ? null : `${by.seconds};${by.mode}${by.trace ? "T" : ""}`),
  },
  {
    keyword: "HOLDFOR",
    extension: "FUTURERELEASE",
    expected: "HOLDFOR=seconds, alone",
    read: (value) => (value !== null && HOLD_SECONDS.test(value) ? { hold: { for: Number(value) } } : null),
    write: ({ hold }) => (hold !== undefined && "for" in hold ? String(hold.for) : null),
  },
  {
    keyword: "HOLDUNTIL",
    extension: "FUTURERELEASE",
    expected: "HOLDUNTIL=YYYY-MM-DDThh:mm:ssZ, alone",
    read: (value) => (value !== null && isUtcTime(value) ? { hold: { until: value } } : null),
    write: ({ hold }) => (hold !== undefined && "until" in hold ? hold.until : null),
  },
  {
    keyword: "MT-PRIORITY",
    extension: "MT-PRIORITY",
    expected: "MT-PRIORITY=number from -9 to 9",
    read: (value) => (value !== null && PRIORITY.test(value) ? { priority: Number(value) } : null),
    write: ({ priority }) => (priority === undefined ? null : String(priority)),
  },
];

/** RFC 2852 §4: by-time, by-mode, by-trace. */
const BY = /^([+-]?[0-9]{1,9});([NR])(T?)$/i;
/** RFC 4865 §3: a positive integer of nine digits. */
const HOLD_SECONDS = /^[1-9][0-9]{0,8}$/;
/** RFC 3339 §5.6, in UTC alone (RFC 4865 §3). */
const UTC_TIME = /^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z$/i;
/** RFC 6710 §7. */
const PRIORITY = /^(?:0|-?[1-9])$/;

/** In the order in which a client writes them. */
export const rcptTable: readonly ParameterRow<RcptParameters>[] = [
  {
    keyword: "NOTIFY",
    extension: "DSN",
    expected: "NOTIFY=NEVER, or a list of SUCCESS, FAILURE and DELAY",
    read: (value) => {
      const notify = value === null ? null : readNotify(value);
      return notify === null ? null : { notify };
    },
    write: ({ notify }) => (notify === undefined ? null : notify.join(",")),
  },
  {
    keyword: "ORCPT",
    extension: "DSN",
    expected: "ORCPT=type;address in xtext, at most 500 octets",
    read: (value) => {
      const orcpt = value === null ? null : readOriginalRecipient(value);
      return orcpt === null ? null : { orcpt };
    },
    write: ({ orcpt }) => (orcpt === undefined ? null : formatOriginalRecipient(orcpt)),
  },
];

/** RFC 4954 §5; undefined where it is neither `<>` nor a mailbox. */
function readAuth(value: string): Mailbox | null | undefined {
  if (value.length > MAX_AUTH_PARAMETER) return undefined;
  const decoded = parseXtext(value);
  if (!decoded.ok) return undefined;
  if (decoded.value === "<>") return null;
  const mailbox = parseMailbox(decoded.value);
  return mailbox.ok ? mailbox.value : undefined;
}

/** RFC 3461 §4.1: NEVER alone, or any of the others; said twice is said once. */
function readNotify(value: string): NonNullable<RcptParameters["notify"]> | null {
  const notify = new Set<"NEVER" | "SUCCESS" | "FAILURE" | "DELAY">();
  for (const item of value.split(",")) {
    const word = item.toUpperCase();
    if (word !== "NEVER" && word !== "SUCCESS" && word !== "FAILURE" && word !== "DELAY") return null;
    notify.add(word);
  }
  return notify.has("NEVER") && notify.size > 1 ? null : [...notify];
}

/** RFC 2852 §4: a time that is over is no error, unless the message should then come back. */
function readBy(value: string): NonNullable<MailParameters["by"]> | null {
  const [, written, mode, trace] = BY.exec(value) ?? [];
  if (written === undefined || mode === undefined) return null;
  const seconds = Number(written) || 0; // "-0" is 0
  if (mode.toUpperCase() === "N") return { seconds, mode: "N", trace: trace !== "" };
  return seconds > 0 ? { seconds, mode: "R", trace: trace !== "" } : null;
}

/** A time that there is: no 30th of February, which `Date` takes for a day in March. */
function isUtcTime(value: string): boolean {
  const [, seconds] = UTC_TIME.exec(value.toUpperCase()) ?? [];
  if (seconds === undefined) return false;
  const time = new Date(`${seconds}Z`);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(seconds);
}
