import { concatBytes, unwrap } from "../../src/base/index.ts";
import { ServerTls } from "../../src/net/index.ts";
import {
  createServer,
  definePolicy,
  type Policy,
  type RecipientRequest,
  type Server,
  type Service,
  type Verdict,
} from "../../src/server/index.ts";
import { formatMailbox, type Mailbox, type Reply, reply } from "../../src/smtp/index.ts";
import { type FakeClock, fakeClock, makeCertificate } from "../../src/testing/index.ts";
import type { Dialogue } from "./dialogue.ts";
import { msaPolicy } from "./msa.ts";
import { scriptedSasl } from "./sasl.ts";

/** What a policy may offer, each under its own name. */
const EXTENSIONS: readonly (readonly [keyword: string, ...parameters: string[]])[] = [
  ["dsn"],
  ["requiretls"],
  ["deliverby"],
  ["futurerelease", "3600", "2030-01-01T00:00:00Z"],
  ["mt-priority"],
];

/** A server set up as a dialogue asks for, and what came of it. */
export interface Stage {
  readonly server: Server;
  readonly service: Service;
  readonly clock: FakeClock;
  /** Bodies whose sink was finished. */
  readonly messages: Uint8Array[];
}

export function setStage(dialogue: Dialogue, tls: ServerTls, mode: Service["tls"] | null, slow: boolean): Stage {
  const { settings } = dialogue;
  const clock = fakeClock();
  const messages: Uint8Array[] = [];
  const number = (name: string, otherwise: number) => Number(settings.get(name) ?? otherwise);
  const policy = settings.has("msa")
    ? msaPolicy(settings, messages, clock.clock)
    : scriptedPolicy(settings, messages, slow);
  const service: Service = {
    tls: mode ?? (settings.get("tls") === "none" ? "none" : "starttls"),
    protocol: settings.has("lmtp") ? "lmtp" : "smtp",
    bareNewlines: settings.has("repair") ? "repair" : "refuse",
    xclient: () => settings.has("xclient"),
    ...(settings.has("require-certificate") && { requireCertificate: true, serverTls: askingTls() }),
  };
  const server = createServer({
    hostname: "mx.test",
    listeners: [],
    policy,
    ...(settings.has("no-certificate") ? {} : { tls }),
    clock: clock.clock,
    limits: {
      errors: number("errors", 10),
      refusals: number("refusals", 100),
      junk: number("junk", 100),
      discard: number("discard", 1_000_000),
      transactions: number("transactions", 1000),
      connectionsPerAddress: number("per-address", 1000),
      textLine: number("text-line", 65_536),
      greetingDelay: number("greeting-delay", 0) * 1000,
    },
  });
  return { server, service, clock, messages };
}

/** Asks for certificates, and knows none. */
function askingTls(): ServerTls {
  return unwrap(
    ServerTls.create({ keyPairs: [makeCertificate({ names: ["mx.test"] })], clientCertificates: "request" }),
  );
}

/**
 * The addresses say what becomes of them: `unknown@` 550 5.1.1, `nomail@` 556 5.1.10, `later@` 451 4.7.1, `throws@` an exception, `leave@` a refusal that
 * closes, `never@` as a recipient no answer at all; `refused@` as a sender is refused at DATA, `unstored@` when the body is whole. Over LMTP `full@` is 452 4.2.2 then.
 */
function scriptedPolicy(settings: ReadonlyMap<string, string>, messages: Uint8Array[], slow: boolean): Policy {
  const mechanisms = (settings.get("mechanisms") ?? "").split(",").filter((name) => name !== "");
  const wait = <T>(value: T): T | Promise<T> =>
    slow ? new Promise((resolve) => setImmediate(() => resolve(value))) : value;
  return definePolicy({
    connect: () =>
      settings.has("unwelcome") ? { kind: "refuse", reply: unwelcome(settings) } : wait({ kind: "accept" }),
    offer: {
      mechanisms,
      messageSize: Number(settings.get("size") ?? 10_000),
      recipients: Number(settings.get("recipients") ?? 5),
      requireTls: settings.has("require-tls"),
      requireAuth: settings.has("require-auth"),
      extensions: EXTENSIONS.filter(([name]) => settings.has(name)),
    },
    hello: ({ name }) =>
      wait(name === "bad.test" ? { kind: "refuse", reply: reply(550, "5.7.1", "No") } : { kind: "accept" }),
    sasl: (mechanism, response) => wait(scriptedSasl(mechanism, response)),
    ...(settings.has("no-vrfy") && { verify: () => wait(reply(502, "5.5.1", "Not served")) }),
    mail: ({ reversePath }) => wait(judge(reversePath)),
    recipient: ({ recipient }) => (recipient.localPart === "never" ? new Promise(() => {}) : wait(judge(recipient))),
    body: ({ reversePath, recipients }) => {
      if (reversePath?.localPart === "refused") return { kind: "refuse", reply: reply(550, "5.7.1", "Not now") };
      const chunks: Uint8Array[] = [];
      return wait({
        write: (chunk) => {
          chunks.push(chunk);
          return slow ? new Promise<void>((resolve) => setImmediate(resolve)) : undefined;
        },
        finish: () => {
          if (reversePath?.localPart === "unstored") throw new Error("the disk is broken");
          messages.push(concatBytes(chunks));
          return wait(settings.has("lmtp") ? recipients.map(stored) : reply(250, "2.0.0", "Taken"));
        },
        abort: () => {},
      });
    },
  });
}

/** 521 is a host that never takes mail (RFC 7504 §3); 554 one that does not take it from this client. */
function unwelcome(settings: ReadonlyMap<string, string>): Reply {
  if (settings.get("unwelcome") === "521") return reply(521, "5.3.2", "Server does not accept mail");
  return reply(554, "5.7.1", "Not you");
}

/** What LMTP says of each recipient. */
function stored({ recipient }: RecipientRequest): Reply {
  if (recipient.localPart === "full") return reply(452, "4.2.2", "Mailbox full");
  return reply(250, "2.0.0", "Stored");
}

function judge(mailbox: Mailbox | null): Verdict {
  switch (mailbox?.localPart) {
    case "unknown":
      return { kind: "refuse", reply: reply(550, "5.1.1", "No such user") };
    case "nomail":
      return { kind: "refuse", reply: reply(556, "5.1.10", "Domain does not accept mail") };
    case "later":
      return { kind: "refuse", reply: reply(451, "4.7.1", "Come again") };
    case "leave":
      return { kind: "refuse", reply: reply(550, "5.7.1", "Leave"), close: true };
    case "throws":
      throw new Error(`a bug met ${formatMailbox(mailbox)}`);
    default:
      return { kind: "accept" };
  }
}
