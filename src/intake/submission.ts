import { randomUUID } from "node:crypto";
import { type Clock, type Duration, type Log, printable } from "../base/index.ts";
import type { Mending } from "../message/index.ts";
import type { BodyVerdict, Client, Conversation, Offer, Policy, Transaction, Verdict } from "../server/index.ts";
import { type Domain, formatMailbox, formatPath, type Mailbox, type Reply, type ReversePath } from "../smtp/index.ts";
import type { Authenticator } from "./authenticator.ts";
import { futureRelease, judgeRelease } from "./delivery-terms.ts";
import { events } from "./events.ts";
import type { Home } from "./home.ts";
import { type DomainVerdict, type MailDomains, withinPatience } from "./mail-domains.ts";
import { offeredExtensions, verifier } from "./offered.ts";
import type { Receiver } from "./receive.ts";
import { REPLIES } from "./replies.ts";
import { covers, inALabels, ownAddress, type SenderGrant, type Senders } from "./senders.ts";
import type { SendingLimiter } from "./sending-limits.ts";
import { SubmittedMessage } from "./submitted-message.ts";

/** What an operator may set of the MSA. */
export interface SubmissionRules {
  /**
   * Whether users may only send as themselves: `enforce` in envelope, From and Sender; `correct` in the envelope, while a From that is
   * somebody else's gets a Sender that is theirs (RFC 6409 §8.1); `any`: as everybody.
   */
  readonly sender: Mending["sender"];
  /** What is put behind a bare local part in a header field; null: the domain of the user's own address. */
  readonly qualifyDomain: Mailbox["domain"] | null;
  /** The trace field tells nothing of where users are. */
  readonly hideClient: boolean;
}

export interface SubmissionPolicyOptions {
  /** Our name, for a Message-ID that has to be made. */
  readonly hostname: Domain;
  readonly authenticator: Authenticator;
  readonly receive: Receiver;
  /** Whose mail ends here: the only domains of one label that an address may have. */
  readonly home: Home;
  /** Who may send as whom. */
  readonly senders: Senders;
  /** How much users may send, and whether they may still; without it as much as they like, until they leave. */
  readonly limiter?: SendingLimiter;
  readonly rules: SubmissionRules;
  /** What is known of the domains of senders and recipients; without it all are taken to be there. */
  readonly mailDomains?: MailDomains;
  /** Whether a mailbox of ours exists; without it every one does. */
  readonly knows?: (mailbox: Mailbox) => boolean;
  /** VRFY is answered 252, which tells nothing (the default); else 502. */
  readonly vrfy?: boolean;
  readonly limits: {
    readonly messageSize: number;
    readonly recipients: number;
    /** Octets of a header section, which is held until it is whole. */
    readonly header: number;
    /** The longest time that mail is held back for its sender (RFC 4865), milliseconds. */
    readonly futureRelease: Duration;
  };
  readonly clock: Clock;
  readonly log: Log;
}

const ACCEPT: Verdict = { kind: "accept" };
const NOT_QUALIFIED: Verdict = { kind: "refuse", reply: REPLIES.notQualified };

/**
 * The policy of the MSA (the `submission` service, RFC 6409): mail to anywhere, from users who proved who they are, over
 * TLS alone (RFC 8314 §3.3), under addresses that are theirs. What is missing in a header section is put right; bodies are not touched.
 */
export function createSubmissionPolicy(options: SubmissionPolicyOptions): Policy {
  const { clock, mailDomains } = options;
  const longest = options.limits.futureRelease;
  // Made at each EHLO, for the date in it.
  const offerTo = (client: Client): Offer => ({
    mechanisms: options.authenticator.mechanismsFor(client),
    messageSize: options.limits.messageSize,
    recipients: options.limits.recipients,
    requireTls: true,
    requireAuth: true,
    extensions: [...offeredExtensions, futureRelease(clock.now(), longest)],
  });
  const desk: Desk = {
    ...options,
    mailDomains: mailDomains === undefined ? null : withinPatience(mailDomains, clock),
  };
  const verify = verifier(options.vrfy ?? true);
  return {
    connect: () => ACCEPT,
    begin(client): Conversation {
      const authentication = options.authenticator.begin(client);
      const sending = options.limiter?.begin(client) ?? null;
      /** Of who sends the transaction that is open. */
      let grants: readonly SenderGrant[] = [];
      return {
        offer: () => offerTo(client),
        ...verify,
        async sasl(mechanism, response, first) {
          const verdict = await authentication.step(mechanism, response, first);
          if (verdict.kind !== "authenticated") return verdict;
          const reply = (await sending?.admit(verdict.identity)) ?? null;
          return reply === null ? verdict : { kind: "refuse", reply, close: reply.code === 421 };
        },
        async mail({ identity, reversePath, parameters }) {
          grants = [];
          // Asked each time: whoever was removed or disabled may still have this session open.
          const barred = identity === null ? null : ((await sending?.admit(identity)) ?? null);
          if (barred !== null) return { kind: "refuse", reply: barred, close: barred.code === 421 };
          if (reversePath !== null && !isQualified(options.home, reversePath)) return NOT_QUALIFIED;
          const refusal = judgeRelease(parameters, clock.now(), longest);
          if (refusal !== null) return refusal;
          // The engine asks nothing before AUTH; this door must not depend on it.
          if (identity !== null) grants = await options.senders.addressesOf(identity);
          const verdict = await judgeSender(desk, client, { identity, reversePath, grants });
          return within(verdict, () => sending?.mail(parameters.size));
        },
        recipient({ recipient }) {
          const verdict = judgeRecipient(desk, client, recipient);
          const held = (judged: Verdict): Verdict => within(judged, () => sending?.recipient(recipient));
          return "then" in verdict ? verdict.then(held) : held(verdict);
        },
        async body(transaction) {
          const verdict = await receiveMended(desk, client, transaction, grants);
          if (verdict.kind === "refuse" || sending === null) return verdict;
          return { kind: "accept", sink: sending.message(verdict.sink, transaction) };
        },
        end: () => sending?.end(),
      };
    },
  };
}

/** A yes, unless a limit is reached; only what would be taken is held against it. */
function within(verdict: Verdict, refusal: () => Reply | null | undefined): Verdict {
  const reply = verdict.kind === "accept" ? (refusal() ?? null) : null;
  return reply === null ? verdict : { kind: "refuse", reply };
}

/** The options, with what is asked of DNS bounded. */
interface Desk extends Omit<SubmissionPolicyOptions, "mailDomains"> {
  readonly mailDomains: MailDomains | null;
}

/** RFC 6409 §4.2: a lone label (`sales`) means nothing to the next server; it is refused rather than completed. */
function isQualified(home: Home, mailbox: Mailbox): boolean {
  return mailbox.domain.includes(".") || mailbox.domain.startsWith("[") || home.takes(mailbox);
}

interface Sending {
  readonly identity: string | null;
  readonly reversePath: ReversePath;
  readonly grants: readonly SenderGrant[];
}

/** RFC 6409 §6.1. The null reverse-path is nobody's: clients send it with their own reports (RFC 8098 §3). */
async function judgeSender(desk: Desk, client: Client, sending: Sending): Promise<Verdict> {
  const { identity, reversePath, grants } = sending;
  const refuse = (reply: Reply): Verdict => {
    const fields = { session: client.sessionId, identity: identity === null ? null : printable(identity) };
    desk.log.info(events.senderRefused, { ...fields, from: formatPath(reversePath), code: reply.code });
    return { kind: "refuse", reply };
  };
  if (identity === null) return refuse(REPLIES.senderDenied);
  if (reversePath === null) return ACCEPT;
  if (desk.rules.sender !== "any" && !covers(grants, reversePath)) return refuse(REPLIES.senderDenied);
  if (desk.mailDomains === null || desk.home.takes(reversePath)) return ACCEPT;
  const verdict = await desk.mailDomains.check(reversePath);
  return verdict === "nullMx" ? refuse(REPLIES.senderTakesNoMail) : ACCEPT;
}

/** What is said of a recipient's domain; null where nothing speaks against it, as far as is known. */
const DOMAIN_REFUSALS: Readonly<Record<DomainVerdict, Reply | null>> = {
  reachable: null,
  unknown: null,
  nullMx: REPLIES.recipientTakesNoMail,
  noDomain: REPLIES.noSuchDomain,
  noHost: REPLIES.noMailHost,
  loop: REPLIES.domainLoops,
};

/** Said now, to the one who mistyped it, and not in a report that comes later. */
function judgeRecipient(desk: Desk, client: Client, recipient: Mailbox): Verdict | Promise<Verdict> {
  const { home, knows, log, mailDomains } = desk;
  const fields = { session: client.sessionId, recipient: formatMailbox(recipient) };
  const verdict = (refusal: Reply | null): Verdict => {
    if (refusal === null) {
      log.debug(events.recipientAccepted, { ...fields, relayed: true });
      return ACCEPT;
    }
    const { code, lines } = refusal;
    log.info(events.recipientRefused, { ...fields, code, reason: lines[0], address: client.peer.address });
    return { kind: "refuse", reply: refusal };
  };
  if (!isQualified(home, recipient)) return verdict(REPLIES.notQualified);
  if (home.takes(recipient)) return verdict(knows?.(recipient) === false ? REPLIES.unknownRecipient : null);
  const found = mailDomains?.check(recipient) ?? "unknown";
  return typeof found === "string"
    ? verdict(DOMAIN_REFUSALS[found])
    : found.then((domain) => verdict(DOMAIN_REFUSALS[domain]));
}

async function receiveMended(
  desk: Desk,
  client: Client,
  transaction: Transaction,
  grants: readonly SenderGrant[],
): Promise<BodyVerdict> {
  const { rules, limits } = desk;
  const trust = { mayRaise: true, hideClient: rules.hideClient };
  const received = await desk.receive(client, transaction, "submission", trust);
  if (received.kind === "refuse") return received;
  const mending = mendingOf(desk, transaction, grants);
  return {
    kind: "accept",
    sink: new SubmittedMessage({ sink: received.sink, headerLimit: limits.header, mending }),
  };
}

function mendingOf(desk: Desk, transaction: Transaction, grants: readonly SenderGrant[]): Mending {
  const { clock, home, hostname, knows, rules } = desk;
  const { reversePath, parameters } = transaction;
  const own = ownAddress(grants);
  const given = rules.qualifyDomain ?? own?.domain ?? reversePath?.domain ?? null;
  const domain = given === null ? null : inALabels(given);
  return {
    reversePath,
    smtputf8: parameters.smtputf8 === true,
    own,
    sender: rules.sender,
    mayUse: (mailbox) => covers(grants, mailbox),
    // RFC 6409 §8: a local part must be one of that domain before the domain may be put behind it.
    qualify(localPart) {
      if (domain === null) return null;
      const mailbox = { localPart, domain };
      return home.takes(mailbox) && knows?.(mailbox) === false ? null : mailbox;
    },
    at: clock.now(),
    messageId: `${randomUUID()}@${inALabels(hostname)}`,
  };
}
