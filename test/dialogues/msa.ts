import { type Clock, concatBytes, DAY, silentLog, unwrap } from "../../src/base/index.ts";
import { createHome, createSubmissionPolicy, type DomainVerdict, sendersByName } from "../../src/intake/index.ts";
import type { Policy } from "../../src/server/index.ts";
import { parseDomain, type Reply, reply } from "../../src/smtp/index.ts";
import { scriptedSasl } from "./sasl.ts";

/** What DNS has to say of domains in dialogues; all others are there. */
const DOMAINS: ReadonlyMap<string, DomainVerdict> = new Map([
  ["null.test", "nullMx"],
  ["missing.test", "noDomain"],
  ["nohost.test", "noHost"],
  ["circle.test", "loop"],
  ["trouble.test", "unknown"],
]);

/** The policy of the MSA as the daemon has it, before a queue that keeps nothing: `user` of here.test, who has `secret`. */
export function msaPolicy(settings: ReadonlyMap<string, string>, messages: Uint8Array[], clock: Clock): Policy {
  const here = unwrap(parseDomain("here.test"));
  const rule = settings.get("msa");
  return createSubmissionPolicy({
    hostname: unwrap(parseDomain("mx.test")),
    authenticator: {
      begin: () => ({ step: async (mechanism, response) => scriptedSasl(mechanism, response) }),
      mechanismsFor: () => ["PLAIN", "LOGIN"],
    },
    receive: () => ({ kind: "accept", sink: keepingSink(messages) }),
    home: createHome({ hostname: unwrap(parseDomain("mx.test")), domains: [here] }),
    senders: sendersByName([here]),
    rules: { sender: rule === "correct" || rule === "any" ? rule : "enforce", qualifyDomain: null, hideClient: false },
    mailDomains: { check: async ({ domain }) => DOMAINS.get(domain) ?? "reachable" },
    knows: ({ localPart }) => localPart !== "nobody",
    limits: { messageSize: 10_000, recipients: 5, header: 4000, futureRelease: DAY },
    clock,
    log: silentLog,
  });
}

function keepingSink(messages: Uint8Array[]) {
  const chunks: Uint8Array[] = [];
  let refusal: Reply | null = null;
  return {
    write: (chunk: Uint8Array) => void chunks.push(chunk),
    async refuse(why: Reply) {
      refusal = why;
    },
    finish() {
      if (refusal !== null) return refusal;
      messages.push(concatBytes(chunks));
      return reply(250, "2.0.0", "Taken");
    },
    abort() {},
  };
}
