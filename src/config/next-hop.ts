import { z } from "zod";
import { type Duration, ok, type Result } from "../base/index.ts";
import { byteSize, keyPin, path, port, text } from "./forms.ts";
import { parseDuration, parseMatch, parseVia } from "./values.ts";

const authorities = () => z.array(path('the path of a PEM file, such as "tls/ca.pem"')).prefault([]);

/** `[[route]]`: where mail for elsewhere goes, and what a connection there must prove. */
export const route = z
  .strictObject({
    match: text('"example.org", ".example.org" (all below it) or "*"', parseMatch).describe(
      "Recipient domains this is for.",
    ),
    via: text('"mx", "smtp://HOST:PORT", "smtps://HOST:PORT" or "lmtp://HOST:PORT"', parseVia)
      .prefault("mx")
      .describe("Where it goes: to the domain's own MX hosts, or always to one host."),
    tls: z
      .enum(["off", "opportunistic", "encrypted", "verified", "dane"])
      .prefault("opportunistic")
      .describe(
        "The least a connection must prove. `off`: no TLS is tried. `opportunistic`: TLS where offered, else clear text. " +
          "`encrypted`: TLS with any certificate, or no delivery. `verified`: a certificate valid for the next hop's name. " +
          "`dane`: a DNSSEC-validated TLSA match, or no delivery. What the domain publishes (DANE, MTA-STS) counts on top, save under `off`.",
      ),
    ca: authorities().describe(
      "Certificate authorities that names are checked by on this route, PEM, in place of the system's and of `delivery.ca`.",
    ),
    pins: z
      .array(keyPin())
      .prefault([])
      .describe(
        "Keys that are as good as a proven name under `verified`: the SHA-256 of the SubjectPublicKeyInfo, as `postern probe` shows it. " +
          "For a host whose certificate no authority signed.",
      ),
    min_version: z.enum(["1.2", "1.3"]).prefault("1.2").describe("The oldest version of TLS that is spoken."),
    client_certificate: path('the path of a PEM file, such as "tls/client.pem"')
      .optional()
      .describe("The certificate, with its chain, shown to a host that asks for one. PEM; needs `client_private_key`."),
    client_private_key: path('the path of a PEM file, such as "tls/client.key"')
      .optional()
      .describe("The key of `client_certificate`, PEM. Keep it readable for Postern's user only."),
  })
  .describe("Mail for elsewhere. The first match wins; without a match mail goes by MX, opportunistically.");

/** `[delivery]`: what holds for connections to all other servers. */
export const delivery = z
  .strictObject({
    port: port().prefault(25).describe("The port at MX hosts."),
    mta_sts: z
      .boolean()
      .prefault(true)
      .describe("Find the MTA-STS policies of recipient domains, and hold their hosts to them (RFC 8461)."),
    eight_bit: z
      .enum(["bounce", "convert"])
      .prefault("bounce")
      .describe(
        "8-bit mail for a server that takes 7-bit mail only (no 8BITMIME, RFC 6152 §3). `bounce` returns it to its sender. " +
          "`convert` sends it as quoted-printable and base64, which breaks DKIM signatures over the body.",
      ),
    chunking: z
      .enum(["auto", "never"])
      .prefault("auto")
      .describe(
        "`auto` sends a small message by BDAT in one go with its envelope where CHUNKING is offered (RFC 3030). " +
          "`never` sends all by DATA, and then no BINARYMIME.",
      ),
    least_rate: byteSize()
      .prefault("500 B")
      .describe(
        "What another server must take of a message in a second, on the whole. One that has kept a message waiting for ten minutes more than " +
          "that is given up, and the mail goes to the next host or waits.",
      ),
    dane: z
      .boolean()
      .prefault(true)
      .describe(
        "Hold hosts to their TLSA records (RFC 7672). They count only with `dns.trust_ad`. `false`: only routes with " +
          '`tls = "dane"` look at them.',
      ),
    ca: authorities().describe("Certificate authorities that are trusted besides the system's, PEM."),
    after_tls_failure: z
      .enum(["defer", "clear"])
      .prefault("defer")
      .describe(
        "After a failed TLS handshake at all hosts, where nothing demands TLS: `defer` lets the mail wait, `clear` sends it in clear " +
          "text. Mail that a route, DANE, MTA-STS, REQUIRETLS or what the host proved before protects waits in any case.",
      ),
    downgrade_hold: text('a duration such as "1d" or "12h", in quotes; "0s" turns it off', parseHold)
      .prefault("1d")
      .describe(
        "A host that proved more before (TLS at all, its version, its name) than it shows now is not believed for so long: mail for it " +
          "waits, and the log tells. Under `off` nothing is held.",
      ),
    tls_resumption: z
      .boolean()
      .prefault(true)
      .describe(
        "Resume TLS sessions, which saves the other server and us most of a handshake. Proofs are kept with them.",
      ),
  })
  .describe("Connections to other servers.");

/** A duration; 0 stands for never. */
function parseHold(written: string): Result<Duration, string> {
  return /^0 ?[smhd]$/.test(written) ? ok(0) : parseDuration(written);
}
