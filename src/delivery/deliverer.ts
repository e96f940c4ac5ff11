import { type Clock, type Log, MINUTE, mathRandom, printable, type Random, SECOND, silentLog } from "../base/index.ts";
import type { ClientSession, ClientTimeouts, Pool } from "../client/index.ts";
import { connect, createTlsSessions, type Resolver, upgradeClient } from "../net/index.ts";
import type { Deliverer, DeliveryJob, Outcome, Recipient, RouteOverride } from "../queue/index.ts";
import { formatMailbox } from "../smtp/index.ts";
import type { HostMemory, StsPolicies, TlsResults } from "../trust/index.ts";
import type { DialContext, Dialling } from "./dial.ts";
import type { EightBit } from "./fit.ts";
import { createHostLoads, type HostLoads } from "./host-loads.ts";
import { deliverToMaildir, discard } from "./local/local-delivery.ts";
import { Maildir } from "./local/maildir.ts";
import { aborted } from "./outcome.ts";
import { deliverToHosts } from "./remote.ts";
import { asciiDomain, type LocalDomain, type Route, type RouteRule, RouteTable } from "./route.ts";
import { nextHopOf, type SurveyContext, survey } from "./survey.ts";

export interface DelivererOptions {
  /** Our own name, for EHLO, for file names, and to know ourselves among mail exchangers. */
  readonly hostname: string;
  readonly domains: readonly LocalDomain[];
  readonly routes: readonly RouteRule[];
  /** The port at MX hosts; 25 but in tests. */
  readonly port: number;
  readonly resolver: Resolver;
  /** Sessions to other hosts; the caller closes it. */
  readonly pool: Pool;
  /** Opens connections, and runs TLS over them; default over the network, with Node's TLS. For tests without sockets. */
  readonly connect?: typeof connect;
  readonly upgrade?: typeof upgradeClient;
  readonly clock: Clock;
  readonly random?: Random;
  readonly log?: Log;
  /** Is this address and port one that this server listens on? See `selfTest`. Default: none is. */
  readonly isSelf?: (address: string, port: number) => boolean;
  /** For each address, milliseconds; default 30 seconds. */
  readonly connectTimeout?: number;
  /** Milliseconds; default 30 seconds. */
  readonly handshakeTimeout?: number;
  readonly timeouts?: Partial<ClientTimeouts>;
  /** The address that connections are made from. */
  readonly localAddress?: string;
  /** CAs in PEM that are trusted besides the system's. */
  readonly ca?: readonly string[];
  /** Ask for TLSA records (RFC 7672); default true. They count where the resolver's answers are validated. */
  readonly dane?: boolean;
  /** MTA-STS policies (RFC 8461); without them none counts. */
  readonly sts?: StsPolicies;
  /** What hosts proved before; without it none is held to anything. */
  readonly memory?: HostMemory;
  /** Told of sessions for TLS reports (RFC 8460). */
  readonly results?: TlsResults;
  /** What hosts are burdened with; without it what is learned, from nothing. */
  readonly loads?: HostLoads;
  /** Resume TLS sessions; default true. */
  readonly tlsResumption?: boolean;
  /** Clear text after a failed handshake where nothing demands TLS; default false: the mail waits. */
  readonly clearTextAfterTlsFailure?: boolean;
  /** 8-bit mail for a server without 8BITMIME: default "bounce". See `fitMessage`. */
  readonly eightBit?: EightBit;
  /** Default "auto": BDAT where it saves a round trip. */
  readonly chunking?: "auto" | "never";
  /** No further host of a job is begun after so many milliseconds; default 10 minutes. */
  readonly budget?: number;
}

/** Hosts, or more exactly demands on hosts, whose TLS sessions are kept. */
const TLS_SESSIONS = 2000;

/** Of a deliverer what may be changed while it works. */
type DeliveryRules = Pick<
  DelivererOptions,
  | "domains"
  | "routes"
  | "port"
  | "connectTimeout"
  | "handshakeTimeout"
  | "timeouts"
  | "ca"
  | "dane"
  | "tlsResumption"
  | "clearTextAfterTlsFailure"
  | "eightBit"
  | "chunking"
>;

/** A deliverer whose rules may be renewed while it works. */
export interface RenewableDeliverer extends Deliverer {
  /**
   * From the next delivery on: these rules, those before where one is left out, and limits of hosts as they are by now. What is under
   * way ends as it began.
   */
  renew(next: Partial<DeliveryRules>): void;
}

/** Carries mail to where its routes lead: Maildirs, LMTP, smarthosts, mail exchangers. */
export function createDeliverer(options: DelivererOptions): RenewableDeliverer {
  return new RoutingDeliverer(options);
}

class RoutingDeliverer implements RenewableDeliverer {
  #options: DelivererOptions;
  #table: RouteTable;
  readonly #maildir: Maildir;
  #dialling: Dialling;
  #survey: SurveyContext;
  readonly #log: Log;

  constructor(options: DelivererOptions) {
    this.#options = options;
    this.#table = new RouteTable(options.domains, options.routes);
    this.#maildir = new Maildir({ hostname: options.hostname, clock: options.clock });
    this.#log = options.log ?? silentLog;
    this.#dialling = {
      hostname: asciiDomain(options.hostname) ?? options.hostname,
      pool: options.pool,
      connect: options.connect ?? connect,
      upgrade: options.upgrade ?? upgradeClient,
      clock: options.clock,
      ...diallingRules(options, null),
      localAddress: options.localAddress ?? null,
      peers: new WeakMap<ClientSession, string>(),
      trustRound: 0,
      memory: options.memory ?? null,
      results: options.results ?? null,
      loads: options.loads ?? createHostLoads({ clock: options.clock, random: options.random ?? mathRandom }),
    };
    this.#survey = {
      resolver: options.resolver,
      random: options.random ?? mathRandom,
      hostname: this.#dialling.hostname,
      isSelf: options.isSelf ?? (() => false),
      dane: options.dane ?? true,
      sts: options.sts ?? null,
      memory: this.#dialling.memory,
    };
  }

  destination(mailbox: Recipient["mailbox"], override?: RouteOverride): string {
    return this.#table.route(mailbox, override).key;
  }

  resume(): void {
    this.#dialling.loads.resume();
  }

  renew(next: Partial<DeliveryRules>): void {
    const options = { ...this.#options, ...next };
    this.#options = options;
    this.#table = new RouteTable(options.domains, options.routes);
    const known = this.#dialling;
    this.#dialling = { ...known, ...diallingRules(options, known.sessions), trustRound: known.trustRound + 1 };
    this.#survey = { ...this.#survey, dane: options.dane ?? true };
    known.loads.renewLimits();
  }

  /** Routes anew what the job holds: the configuration may have changed since the job's destination was named. */
  async deliver(job: DeliveryJob, signal: AbortSignal): Promise<readonly Outcome[]> {
    const log = this.#log.child({ id: job.message.id });
    const outcomes = new Map<Recipient, Outcome>();
    for (const { route, recipients } of this.#groups(job.recipients)) {
      const results = signal.aborted
        ? recipients.map(aborted)
        : await this.#deliverGroup(route, recipients, job, { dialling: this.#dialling, log, signal });
      for (const [i, recipient] of recipients.entries()) {
        const outcome = results[i];
        if (outcome !== undefined) outcomes.set(recipient, outcome);
      }
    }
    return job.recipients.map((recipient) => {
      const outcome = outcomes.get(recipient);
      if (outcome === undefined) throw new Error("a recipient was left without an outcome");
      return outcome;
    });
  }

  #groups(recipients: readonly Recipient[]): Iterable<{ readonly route: Route; readonly recipients: Recipient[] }> {
    const groups = new Map<string, { readonly route: Route; readonly recipients: Recipient[] }>();
    for (const recipient of recipients) {
      const route = this.#table.route(recipient.mailbox, recipient.override);
      const group = groups.get(route.key);
      if (group === undefined) groups.set(route.key, { route, recipients: [recipient] });
      else group.recipients.push(recipient);
    }
    return groups.values();
  }

  async #deliverGroup(
    route: Route,
    recipients: readonly Recipient[],
    job: DeliveryJob,
    context: DialContext,
  ): Promise<readonly Outcome[]> {
    switch (route.kind) {
      case "none": {
        const problem = { text: `${route.domain} is no domain that DNS knows`, reply: null, status: "5.1.2" };
        return recipients.map(() => ({ kind: "failed", scope: "recipient", problem, hop: null }));
      }
      case "unknown":
        return recipients.map(({ mailbox }) => {
          const problem = {
            text: `${printable(formatMailbox(mailbox))} has no mailbox here`,
            reply: null,
            status: "5.1.1",
          };
          return { kind: "failed", scope: "recipient", problem, hop: null };
        });
      case "local":
        return await this.#deliverLocally(route, recipients, job, context);
      case "mx":
      case "relay":
        return await this.#deliverToNextHop(route, recipients, job, context);
    }
  }

  async #deliverLocally(
    route: Extract<Route, { kind: "local" }>,
    recipients: readonly Recipient[],
    job: DeliveryJob,
    context: DialContext,
  ): Promise<readonly Outcome[]> {
    const { deliver } = route;
    const { message, body } = job;
    const { log } = context;
    switch (deliver.kind) {
      case "discard":
        return recipients.map((recipient) => discard({ message, recipient, body, log }));
      case "maildir": {
        const outcomes: Outcome[] = [];
        for (const recipient of recipients) {
          const local = { message, recipient, body, log };
          outcomes.push(await deliverToMaildir(this.#maildir, deliver.path, local));
        }
        return outcomes;
      }
      case "lmtp":
        return await this.#deliverToNextHop(route, recipients, job, context);
    }
  }

  async #deliverToNextHop(
    route: Route,
    recipients: readonly Recipient[],
    job: DeliveryJob,
    context: DialContext,
  ): Promise<readonly Outcome[]> {
    const { reversePath, parameters, receivedAt } = job.message;
    const hop = nextHopOf(route, this.#options.port);
    if (hop === null) throw new Error(`a route of kind ${route.kind} leads to no host`);
    // RFC 8689 §4.2.1, §5: a report is not lost for want of what its message demanded.
    const requireTls = parameters.requireTls === true && reversePath !== null;
    const tlsOptional = parameters.tlsOptional === true && parameters.requireTls !== true;
    const found = await survey(hop, { requireTls, tlsOptional }, this.#survey);
    const request = {
      load: { reversePath, parameters, receivedAt, recipients, body: job.body },
      domain: hop.domain,
      clearTextAfterTlsFailure: tlsOptional || (this.#options.clearTextAfterTlsFailure ?? false),
      budget: this.#options.budget ?? 10 * MINUTE,
    };
    return await deliverToHosts(found, request, isTlsReport(job.message) ? unreported(context) : context);
  }
}

type DiallingRules = Pick<
  Dialling,
  "connectTimeout" | "handshakeTimeout" | "timeouts" | "extraCa" | "sessions" | "eightBit" | "chunking"
>;

/** `sessions`: the TLS sessions that are kept already. */
function diallingRules(options: DelivererOptions, sessions: Dialling["sessions"]): DiallingRules {
  const { clock, tlsResumption = true } = options;
  return {
    connectTimeout: options.connectTimeout ?? 30 * SECOND,
    handshakeTimeout: options.handshakeTimeout ?? 30 * SECOND,
    timeouts: options.timeouts ?? {},
    extraCa: options.ca ?? [],
    sessions: tlsResumption ? (sessions ?? createTlsSessions({ max: TLS_SESSIONS, clock })) : null,
    eightBit: options.eightBit ?? "bounce",
    chunking: options.chunking ?? "auto",
  };
}

/** The mail that carries a TLS report: what we write ourselves, and wherever it can go. */
function isTlsReport({ origin, parameters }: DeliveryJob["message"]): boolean {
  return origin.service === "local" && parameters.tlsOptional === true;
}

/** RFC 8460 §3: the session of a report is in no report, or two servers would report on their reports for ever. */
function unreported(context: DialContext): DialContext {
  return { ...context, dialling: { ...context.dialling, results: null } };
}
