import type { Clock, Log, Result } from "../base/index.ts";
import {
  type ClientProblem,
  type ClientSession,
  type ClientTimeouts,
  type ClientTls,
  openSession,
  type Pool,
} from "../client/index.ts";
import type { ClientTlsOptions, connect, TlsSessions, upgradeClient } from "../net/index.ts";
import type { HostMemory, TlsResults } from "../trust/index.ts";
import type { EightBit } from "./fit.ts";
import type { HostLoads } from "./host-loads.ts";
import { type PlannedAttempt, sessionKey } from "./plan.ts";
import { resultOfFailure, resultOfSession, type SessionResult } from "./tls-failure.ts";
import type { TlsProof } from "./tls-requirement.ts";

/** How connections are made; the same for every attempt of a deliverer. */
export interface Dialling {
  /** Our name in EHLO. */
  readonly hostname: string;
  readonly pool: Pool;
  readonly connect: typeof connect;
  readonly upgrade: typeof upgradeClient;
  readonly clock: Clock;
  /** For each address, milliseconds. */
  readonly connectTimeout: number;
  /** Milliseconds. */
  readonly handshakeTimeout: number;
  readonly timeouts: Partial<ClientTimeouts>;
  readonly localAddress: string | null;
  /** Where each session leads; filled when it is opened. */
  readonly peers: WeakMap<ClientSession, string>;
  /** CAs in PEM that are trusted besides the system's. */
  readonly extraCa: readonly string[];
  /** How often that changed. Sessions that were made under others are not used any more. */
  readonly trustRound: number;
  /** Where TLS sessions are kept to be resumed; null: each handshake is a full one. */
  readonly sessions: TlsSessions | null;
  /** Told what hosts prove; null: nothing is remembered. */
  readonly memory: HostMemory | null;
  /** Told of each session; null: nothing is reported. */
  readonly results: TlsResults | null;
  /** What hosts are burdened with, over all domains that lead to them. */
  readonly loads: HostLoads;
  readonly eightBit: EightBit;
  readonly chunking: "auto" | "never";
}

/** One attempt's surroundings. */
export interface DialContext {
  readonly dialling: Dialling;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** One connection, with or without a session on it. */
interface Dialled {
  readonly session: Result<ClientSession, ClientProblem>;
  readonly sendingAddress: string | null;
  readonly receivingAddress: string | null;
}

/**
 * Opens a session that proves what the attempt demands, and takes note of what the host showed. A host that was mute or hung up on
 * the large ClientHello of the post-quantum groups is asked again at once with classical ones; the demands stay.
 */
export async function openFor(
  attempt: PlannedAttempt,
  context: DialContext,
): Promise<Result<ClientSession, ClientProblem>> {
  const { memory } = context.dialling;
  const { requirement } = attempt;
  const host = attempt.host.toLowerCase();
  const small = requirement.mode !== "none" && memory?.classicalOnly(host) === true;
  const groups = small ? "classical" : "all";
  let dialled = await dial(attempt, groups, context);
  if (brokeResuming(dialled) && !context.signal.aborted) dialled = await dial(attempt, groups, context);
  if (isMute(dialled) && !small && !context.signal.aborted) {
    dialled = await dial(attempt, "classical", context);
    if (hasAnswered(dialled)) memory?.rememberClassical(host);
  }
  note(attempt, dialled, context.dialling);
  return dialled.session;
}

/** It broke on a session that was to be resumed, which is forgotten by now: that says nothing of a full handshake. */
function brokeResuming({ session }: Dialled): boolean {
  return !session.ok && session.error.kind === "network" && session.error.problem.resuming === true;
}

function isMute({ session }: Dialled): boolean {
  return !session.ok && session.error.kind === "network" && session.error.problem.silent === true;
}

/** It came as far as to show a certificate. */
function hasAnswered({ session }: Dialled): boolean {
  if (session.ok) return session.value.tls !== null;
  return session.error.kind === "network" && session.error.problem.kind === "certificate";
}

async function dial(
  attempt: PlannedAttempt,
  groups: "all" | "classical",
  { dialling, log, signal }: DialContext,
): Promise<Dialled> {
  const stream = await dialling.connect({
    addresses: attempt.addresses,
    port: attempt.port,
    timeout: dialling.connectTimeout,
    signal,
    ...(dialling.localAddress === null ? {} : { localAddress: dialling.localAddress }),
  });
  if (!stream.ok) {
    const error = { kind: "network", stage: "connect", problem: stream.error } as const;
    return { session: { ok: false, error }, sendingAddress: null, receivingAddress: null };
  }
  const { peer, local } = stream.value;
  const session = await openSession({
    stream: stream.value,
    hello: dialling.hostname,
    protocol: attempt.protocol,
    tls: clientTls(attempt, groups, dialling),
    timeouts: dialling.timeouts,
    chunking: dialling.chunking,
    upgrade: dialling.upgrade,
    clock: dialling.clock,
    signal,
    log,
  });
  if (session.ok) dialling.peers.set(session.value, peer.address);
  return { session, sendingAddress: local.address, receivingAddress: peer.address };
}

function clientTls(attempt: PlannedAttempt, groups: "all" | "classical", dialling: Dialling): ClientTls {
  const { mode, proof, watched, serverName, minVersion, clientCertificate } = attempt.requirement;
  if (mode === "none") return { kind: "none" };
  const { sessions, extraCa } = dialling;
  const options: ClientTlsOptions = {
    serverName,
    verify: verifyOf(watched ?? proof, extraCa),
    ...(watched === null ? {} : { lenient: true }),
    minVersion,
    groups,
    ...(clientCertificate === null ? {} : { clientCertificate }),
    ...(sessions === null ? {} : { resume: { sessions, key: sessionKey(attempt) } }),
    timeout: dialling.handshakeTimeout,
  };
  return { kind: mode, options };
}

function verifyOf(proof: TlsProof, extraCa: readonly string[]): ClientTlsOptions["verify"] {
  switch (proof.kind) {
    case "nothing":
      return proof;
    case "name": {
      const { names, pins, ca } = proof;
      const authorities = ca === null ? { extraCa } : { ca };
      return { kind: "name", names, pins, ...authorities };
    }
    case "dane":
      return { kind: "dane", records: proof.records, names: proof.names };
  }
}

/** Once for each session or failed try, not for each message. */
function note(attempt: PlannedAttempt, { session, ...addresses }: Dialled, dialling: Dialling): void {
  const { requirement, domain } = attempt;
  if (requirement.mode === "none" || domain === null) return;
  const host = attempt.host.toLowerCase();
  if (session.ok) {
    const { tls } = session.value;
    const { kind } = requirement.proof;
    const authenticated = tls === null || kind === "nothing" ? "no" : kind;
    dialling.memory?.proved(domain, host, { tls: tls !== null, version: tls?.version ?? null, authenticated });
  }
  const { policy } = requirement;
  if (policy === null || dialling.results === null) return;
  const result: SessionResult | null = session.ok
    ? resultOfSession(requirement, session.value.tls)
    : resultOfFailure(session.error);
  if (result !== null) dialling.results.add({ domain, policy, host, ...addresses, ...result });
}
