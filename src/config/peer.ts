import { domainToASCII } from "node:url";
import { z } from "zod";
import { err, ok, type Result } from "../base/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { byteSize, count, keyPin, path, text } from "./forms.ts";
import type { SenderRule } from "./model.ts";
import { parseName } from "./values.ts";

const peerLimits = z
  .strictObject({
    message_size: byteSize().optional().describe("The largest message it may send; announced as SIZE."),
    recipients: count(100_000).optional().describe("Recipients of one of its messages; announced as RCPTMAX."),
    transactions: count(1_000_000).optional().describe("Messages of one connection; announced as MAILMAX, then 421."),
    connections: count(100_000)
      .optional()
      .describe(
        "Its connections at once, from all its addresses together; beyond it 421. None: `[limits]` alone counts.",
      ),
  })
  .describe(
    "What this peer may use, more or less than `[limits]` gives to everybody; what is not set here is as there.",
  );

/** `[[peer]]`: a client that is known by its certificate. */
export const peer = z
  .strictObject({
    name: text('a name of letters, digits, ".", "_" and "-" such as "partner"', parsePeerName).describe(
      "What it is called: in the log, in the trace field of its mail and in `postern queue show` (`certificate:NAME`).",
    ),
    spki: z
      .array(keyPin())
      .min(1)
      .optional()
      .meta({ accepted: "a list of one or more hashes" })
      .describe(
        "Know it by its key: the SHA-256 of its SubjectPublicKeyInfo, as `postern probe` and the log (`key`) show it. Several where a " +
          "new key is to come. Names, dates and authorities of the certificate do not count then.",
      ),
    ca: path('the path of a PEM file, such as "tls/partner-ca.pem"')
      .optional()
      .describe(
        "Know it by an authority and a name: the certificates of the authorities that may vouch for it, PEM. Read anew on SIGHUP.",
      ),
    names: z
      .array(text('a domain name such as "mx.partner.example", or "*"', parsePeerHost))
      .min(1)
      .optional()
      .meta({ accepted: "a list of one or more names" })
      .describe(
        "Names of which its certificate must have one (subjectAltName). `*` is every certificate of `ca`: for an authority of your own.",
      ),
    user: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe(
        "The user whom it logs in as on `submission` (AUTH EXTERNAL), without a password. Whoever can be this peer can send as that user.",
      ),
    relay: z.boolean().prefault(false).describe("It may send anywhere, not only to the domains of this server."),
    senders: z
      .array(text('an address, "@" and a domain such as "@partner.example", or "*"', parseSenderRule))
      .prefault(["*"])
      .describe(
        "Reverse-paths (MAIL FROM) that it may use, else 550 5.7.1; the empty one of reports always may. `@partner.example` is every " +
          "address of that domain, not of those below it; an address covers its sub-addresses (`ann+lists`).",
      ),
    limits: peerLimits.prefault({}),
  })
  .describe(
    "A client that is known by its TLS certificate; needs `client_certificates` at a listener. Certificates that are nobody's here are as " +
      "good as none. What it may at an `mx` listener stands here; on `submission` it may log in as `user`.",
  );

const MAX_NAME = 64;

/** It is written into trace fields and logs as it is. */
function parsePeerName(written: string): Result<string, string> {
  const right = /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(written) && written.length <= MAX_NAME;
  return right ? ok(written) : err(`${JSON.stringify(written.slice(0, MAX_NAME))} is no name for a peer`);
}

/** Certificates hold A-labels (RFC 5280 §7.2). */
function parsePeerHost(written: string): Result<string, string> {
  if (written === "*") return ok(written);
  const name = parseName(written);
  return name.ok ? ok(domainToASCII(name.value) || name.value) : name;
}

function parseSenderRule(written: string): Result<SenderRule, string> {
  if (written === "*") return ok({ kind: "any" });
  if (written.startsWith("@")) {
    const domain = parseName(written.slice(1));
    return domain.ok ? ok({ kind: "domain", domain: domain.value }) : domain;
  }
  const mailbox = parseMailbox(written);
  return mailbox.ok
    ? ok({ kind: "address", mailbox: mailbox.value })
    : err(`${JSON.stringify(written.slice(0, MAX_NAME))} is no address, "@domain" or "*"`);
}
