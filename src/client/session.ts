import { err, ok, type Result } from "../base/index.ts";
import { announcedMechanisms, type Extensions, type Reply, readExtensions } from "../smtp/index.ts";
import type { ClientProblem, Stage } from "./types.ts";

/**
 * The opening of a session as values: greeting, EHLO (or HELO, or LHLO), STARTTLS, EHLO again, AUTH. What to send and which
 * reply is waited for; no I/O, clock or socket. The transactions that follow are in `transaction.ts`.
 */
export interface OpeningRules {
  /** The argument of EHLO. */
  readonly hello: string;
  readonly protocol: "smtp" | "lmtp";
  /** As `ClientTls`, without the parameters of the handshake. */
  readonly tls: "none" | "opportunistic" | "required" | "implicit";
  readonly auth: AuthRules | null;
}

export interface AuthRules {
  /** Upper case, in order of preference. */
  readonly mechanisms: readonly string[];
  /** Begins an exchange; null for a mechanism that is not known here, or not for these credentials. `offered`: by the server. */
  start(mechanism: string, offered: readonly string[]): AuthExchange | null;
}

/** The client's side of one SASL exchange as it stands on the lines: base64 text (RFC 4954 §4). */
export interface AuthExchange {
  /** Sent with the AUTH command, `=` when empty; null where the server has to speak first. */
  readonly initial: string | null;
  /** The answer to a challenge, or why there is none. */
  next(challenge: string): Result<string, string>;
  /** True once nothing more is owed by the server but its yes; a mechanism that proves the server says so here. */
  readonly complete: boolean;
}

/** A state holds only what exists in it. `secured` says whether TLS is on. */
export type OpeningState =
  | { readonly phase: "greeting"; readonly secured: boolean }
  | { readonly phase: "hello"; readonly verb: HelloVerb; readonly greeting: Reply; readonly secured: boolean }
  | { readonly phase: "starttls"; readonly greeting: Reply; readonly extensions: Extensions }
  | { readonly phase: "handshake"; readonly greeting: Reply }
  | {
      readonly phase: "auth";
      readonly greeting: Reply;
      readonly extensions: Extensions;
      readonly exchange: AuthExchange;
      /** The initial response, held back because the line would have been too long. */
      readonly heldBack: string | null;
      readonly rounds: number;
      /** Mechanisms in common that were not tried yet. */
      readonly untried: readonly string[];
    }
  | { readonly phase: "ready"; readonly greeting: Reply; readonly extensions: Extensions }
  | { readonly phase: "failed"; readonly problem: ClientProblem };

type HelloVerb = "EHLO" | "HELO" | "LHLO";

export type OpeningEvent =
  | { readonly kind: "reply"; readonly reply: Reply }
  /** The handshake asked for by the action `upgrade` is done. */
  | { readonly kind: "secured" };

export type OpeningAction =
  /** One command line, without CRLF; its reply is waited for. `secret`: it must not be logged. */
  | { readonly kind: "send"; readonly line: string; readonly stage: Stage; readonly secret: boolean }
  | { readonly kind: "upgrade" }
  /** The state says how it ended: ready or failed. */
  | { readonly kind: "stop" };

export interface OpeningStep {
  readonly state: OpeningState;
  readonly action: OpeningAction;
}

/** RFC 4954 §4: an AUTH command with its initial response keeps to the 512 octets of RFC 5321 §4.5.3.1.4, CRLF included. */
const MAX_AUTH_LINE = 510;
/** A server may not keep us talking: the longest exchange we know (LOGIN, SCRAM) takes three challenges. */
const MAX_AUTH_ROUNDS = 8;

/** A session begins by waiting for the greeting, whether in clear or (implicit TLS) after the handshake. */
export function beginOpening(rules: OpeningRules): OpeningState {
  return { phase: "greeting", secured: rules.tls === "implicit" };
}

/** Takes the reply that was waited for, or the end of the handshake. */
export function stepOpening(rules: OpeningRules, state: OpeningState, event: OpeningEvent): OpeningStep {
  if (event.kind === "secured") return onSecured(rules, state);
  const { reply } = event;
  switch (state.phase) {
    case "greeting":
      if (reply.code !== 220) return refusedOrOdd("greeting", reply);
      return hello(rules, rules.protocol === "lmtp" ? "LHLO" : "EHLO", reply, state.secured);
    case "hello":
      return onHello(rules, state, reply);
    case "starttls":
      return onStartTls(rules, state, reply);
    case "auth":
      return onAuth(rules, state, reply);
    case "handshake":
    case "ready":
    case "failed":
      return odd(state.phase === "handshake" ? "handshake" : "hello", "a reply to nothing");
  }
}

/**
 * RFC 3207 §4.2: all that was learned in clear text is forgotten; the greeting, which no decision is made from, is kept for
 * the log. There is no second greeting after STARTTLS.
 */
function onSecured(rules: OpeningRules, state: OpeningState): OpeningStep {
  if (state.phase !== "handshake") throw new Error(`secured while in phase ${state.phase}`);
  return hello(rules, rules.protocol === "lmtp" ? "LHLO" : "EHLO", state.greeting, true);
}

function hello(rules: OpeningRules, verb: HelloVerb, greeting: Reply, secured: boolean): OpeningStep {
  return send({ phase: "hello", verb, greeting, secured }, `${verb} ${rules.hello}`, "hello");
}

type In<Phase extends OpeningState["phase"]> = Extract<OpeningState, { readonly phase: Phase }>;

function onHello(rules: OpeningRules, state: In<"hello">, reply: Reply): OpeningStep {
  const { greeting, secured } = state;
  const clearTextWillNotDo = rules.tls === "required" && !secured;
  if (reply.code !== 250) {
    if (state.verb !== "EHLO" || !knowsNoEhlo(reply)) return refusedOrOdd("hello", reply);
    // HELO brings neither STARTTLS nor AUTH, so where one is demanded it is not even tried.
    if (clearTextWillNotDo) return fail({ kind: "tlsNotOffered" });
    if (rules.auth !== null) return fail({ kind: "authNotOffered", offered: [] });
    return hello(rules, "HELO", greeting, secured);
  }
  const extensions: Extensions = state.verb === "HELO" ? new Map() : readExtensions(reply);
  if (secured || rules.tls === "none") return authenticate(rules, greeting, extensions, secured);
  if (extensions.has("STARTTLS")) return send({ phase: "starttls", greeting, extensions }, "STARTTLS", "starttls");
  return clearTextWillNotDo ? fail({ kind: "tlsNotOffered" }) : authenticate(rules, greeting, extensions, false);
}

/** RFC 5321 §3.2, §4.2.4: the codes of a server that does not know, or does not like, EHLO. 504 is seen in the wild. */
function knowsNoEhlo(reply: Reply): boolean {
  return reply.code >= 500 && reply.code <= 504;
}

/** Exactly 220 is "go" (RFC 3207 §4). An odd 2yz or 3yz leaves nobody sure what comes next: the session ends. */
function onStartTls(rules: OpeningRules, state: In<"starttls">, reply: Reply): OpeningStep {
  if (reply.code === 220)
    return { state: { phase: "handshake", greeting: state.greeting }, action: { kind: "upgrade" } };
  if (rules.tls === "required" || reply.code < 400 || reply.code === 421) return refusedOrOdd("starttls", reply);
  return authenticate(rules, state.greeting, state.extensions, false);
}

function authenticate(rules: OpeningRules, greeting: Reply, extensions: Extensions, secured: boolean): OpeningStep {
  if (rules.auth === null) return { state: { phase: "ready", greeting, extensions }, action: { kind: "stop" } };
  const offered = announcedMechanisms(extensions);
  // A password is never sent in clear text, whatever the server offers there.
  const common = secured ? rules.auth.mechanisms.filter((mechanism) => offered.includes(mechanism)) : [];
  return tryMechanisms(rules.auth, greeting, extensions, common) ?? fail({ kind: "authNotOffered", offered });
}

function tryMechanisms(
  auth: AuthRules,
  greeting: Reply,
  extensions: Extensions,
  mechanisms: readonly string[],
): OpeningStep | null {
  for (const [index, mechanism] of mechanisms.entries()) {
    const exchange = auth.start(mechanism, announcedMechanisms(extensions));
    if (exchange === null) continue;
    const untried = mechanisms.slice(index + 1);
    const alone = `AUTH ${mechanism}`;
    const { initial } = exchange;
    const full = initial === null ? alone : `${alone} ${initial}`;
    const fits = full.length <= MAX_AUTH_LINE;
    const heldBack = fits ? null : initial;
    const state: OpeningState = { phase: "auth", greeting, extensions, exchange, heldBack, rounds: 0, untried };
    return send(state, fits ? full : alone, "auth", true);
  }
  return null;
}

function onAuth(rules: OpeningRules, state: In<"auth">, reply: Reply): OpeningStep {
  if (reply.code === 235) {
    // A server that says yes before it proved that it knows the password (SCRAM) may be anybody.
    if (!state.exchange.complete) return odd("auth", "235 before the server proved itself");
    return {
      state: { phase: "ready", greeting: state.greeting, extensions: state.extensions },
      action: { kind: "stop" },
    };
  }
  if (reply.code === 334) return onChallenge(state, reply);
  // RFC 4954 §4, §6: 504 and 534 refuse the mechanism, not the credentials.
  if ((reply.code === 504 || reply.code === 534) && rules.auth !== null) {
    const next = tryMechanisms(rules.auth, state.greeting, state.extensions, state.untried);
    if (next !== null) return next;
  }
  return refusedOrOdd("auth", reply);
}

function onChallenge(state: In<"auth">, reply: Reply): OpeningStep {
  if (state.rounds >= MAX_AUTH_ROUNDS) return odd("auth", "too many challenges");
  const answer = answerChallenge(state, reply);
  if (!answer.ok) return odd("auth", answer.error);
  const next: OpeningState = { ...state, heldBack: null, rounds: state.rounds + 1 };
  return send(next, answer.value, "auth", true);
}

function answerChallenge(state: In<"auth">, reply: Reply): Result<string, string> {
  const text = reply.lines[0] ?? "";
  if (reply.lines.length > 1) return err("a challenge of several lines");
  if (state.heldBack !== null)
    return text === "" ? ok(state.heldBack) : err("a challenge where the client speaks first");
  return state.exchange.next(text);
}

function send(state: OpeningState, line: string, stage: Stage, secret = false): OpeningStep {
  return { state, action: { kind: "send", line, stage, secret } };
}

function fail(problem: ClientProblem): OpeningStep {
  return { state: { phase: "failed", problem }, action: { kind: "stop" } };
}

function odd(stage: Stage, detail: string): OpeningStep {
  return fail({ kind: "protocol", stage, detail, problem: null });
}

/** 4yz and 5yz are the server's no; a 2yz or 3yz other than the one expected is not SMTP. */
function refusedOrOdd(stage: Stage, reply: Reply): OpeningStep {
  if (reply.code >= 400) return fail({ kind: "refused", stage, reply });
  return odd(stage, `unexpected reply code ${reply.code}`);
}
