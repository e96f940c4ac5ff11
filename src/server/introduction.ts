/** XCLIENT, Postfix's extension (its XCLIENT_README): a peer that may do so says for whom it speaks. */
import { type Command, XCLIENT_ATTRIBUTES, type XclientAttributes } from "../smtp/index.ts";
import type { Client, Hello } from "./policy.ts";
import * as replies from "./replies.ts";
import type { CommandPhase, SessionSettings, State, Step } from "./state.ts";
import { fault } from "./steps.ts";

/** The parameters of the EHLO line, null for a peer that may not. */
export function xclientOffer({ xclient }: SessionSettings): readonly string[] | null {
  return xclient === null ? null : XCLIENT_ATTRIBUTES;
}

/** The session is over, and one of the client that was named begins with its greeting, or with a refusal of it. */
export function introduce(
  state: State,
  at: CommandPhase,
  command: Extract<Command, { readonly verb: "XCLIENT" }>,
): Step {
  const { xclient } = state.settings;
  if (xclient === null) return fault(state, at, replies.mayNotIntroduce);
  if (at.name !== "greeted" && at.name !== "idle") return fault(state, at, replies.introducedInTransaction);
  // What does not fit into one command comes in several: the later ones add to the earlier ones.
  const attributes = { ...xclient, ...command.attributes };
  return { state: { ...state, phase: { name: "introducing" } }, actions: [{ kind: "introduce", attributes }] };
}

/**
 * The hello of the client: what the peer says for it now, but for what was said of it by XCLIENT. A HELO or EHLO has to
 * follow XCLIENT in any case, and many proxies put their own name there.
 */
export function helloOf({ xclient }: SessionSettings, spoken: Hello): Hello {
  const name = xclient?.helo ?? spoken.name;
  if (spoken.verb === "LHLO" || xclient?.protocol === undefined) return { verb: spoken.verb, name };
  return { verb: xclient.protocol === "SMTP" ? "HELO" : "EHLO", name };
}

/** How an exchange ends when XCLIENT was taken: `rest` was read behind it, and `peerEnded` tells that no more will come. */
export interface Introduced {
  readonly kind: "introduced";
  readonly attributes: XclientAttributes;
  readonly rest: readonly Uint8Array[];
  readonly peerEnded: boolean;
}

/** RFC 4291 §2.5.2: the absence of an address. It must not be the proxy's own, which may be allowed to do more. */
const NO_ADDRESS = "::";

/**
 * The client of whom `attributes` are said by `proxy`. What was not said stays as it is, but for the certificate and the
 * channel binding: they are the proxy's, and prove nothing of anybody else.
 */
export function introducedBy(proxy: Client, attributes: XclientAttributes): Client {
  const { name, address, port, destination, destinationPort } = attributes;
  return {
    ...proxy,
    tls: proxy.tls === null ? null : { ...proxy.tls, peerCertificate: null },
    certificate: null,
    channelBinding: () => null,
    peer: {
      address: address === undefined ? proxy.peer.address : (address ?? NO_ADDRESS),
      port: port === undefined ? proxy.peer.port : (port ?? 0),
    },
    local: {
      address: destination === undefined ? proxy.local.address : (destination ?? NO_ADDRESS),
      port: destinationPort === undefined ? proxy.local.port : (destinationPort ?? 0),
    },
    ...(name === undefined ? {} : { name }),
  };
}
