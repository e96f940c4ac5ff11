import { z } from "zod";
import { auth } from "./auth.ts";
import { autoconfig } from "./autoconfig.ts";
import { byteSize, count, domain, duration, network, path, text, timeout } from "./forms.ts";
import { metrics } from "./metrics.ts";
import { delivery, route } from "./next-hop.ts";
import { peer } from "./peer.ts";
import { limit, queue, retry } from "./queueing.ts";
import { submission } from "./submission.ts";
import { parseAddress, parseEndpoint, parseLocalDelivery, parseRecipient } from "./values.ts";
import { mtaSts, web } from "./web.ts";

/** As many as there are lanes of queue ids. */
const MAX_WORKERS = 64;

const listener = z
  .strictObject({
    address: text('"ADDRESS:PORT" such as "127.0.0.1:2525", "0.0.0.0:25" or "[::]:25"', parseEndpoint).describe(
      "Where to listen. Port 0 takes any free port.",
    ),
    service: z
      .enum(["mx", "submission"])
      .describe(
        "`mx` takes mail for the domains below from anybody. `submission` takes mail to anywhere from users who log in.",
      ),
    tls: z
      .enum(["starttls", "implicit", "none"])
      .prefault("starttls")
      .describe(
        "`starttls` begins in clear text and upgrades (RFC 3207); `implicit` begins with the handshake (RFC 8314).",
      ),
    client_certificates: z
      .enum(["none", "request", "require"])
      .prefault("none")
      .describe(
        "Whether clients are asked for a TLS certificate, to be known by it (`[[peer]]`). `request`: it may show one; whatever it shows is " +
          "taken as it is. `require`: who shows none that is known gets 530 before TLS and 554 in it. Not for a public `mx`, which must " +
          "take mail without TLS.",
      ),
    session_tickets: z
      .boolean()
      .prefault(false)
      .describe(
        "Whether clients may resume TLS sessions. Off: resumption on port 25 has lost mail of some senders, and saves a mail server little. " +
          "TLS 1.3 sends tickets either way; with `false` they open nothing.",
      ),
    proxy: z
      .array(network())
      .prefault([])
      .describe(
        "Proxies in front of this listener (HAProxy and its like). From these addresses a PROXY header, version 1 or 2, must " +
          "come first, and the client in it is the client for everything: limits, relaying, log, trace fields.",
      ),
    xclient: z
      .array(network())
      .prefault([])
      .describe(
        "Clients of this listener that may say by XCLIENT for whom they speak, such as filters and mail proxies. Name them with " +
          "care: they are believed in everything, also as whom somebody has logged in.",
      ),
  })
  .describe("A port to serve. As many as needed, at least one.");

const certificate = () => path('the path of a PEM file, such as "tls/cert.pem"');
const privateKey = () => path('the path of a PEM file, such as "tls/key.pem"');

const tls = z
  .strictObject({
    certificate: certificate().describe("The certificate and its chain, PEM, the server's own certificate first."),
    private_key: privateKey().describe("The key of the certificate, PEM. Keep it readable for Postern's user only."),
    next_private_key: privateKey()
      .optional()
      .describe(
        "The key that the next certificate will have, PEM. `postern dns` lists it beside the one in use, so that what DANE needs is " +
          "published before the change.",
      ),
    additional: z
      .array(
        z
          .strictObject({
            certificate: certificate().describe("The certificate and its chain, PEM."),
            private_key: privateKey().describe("Its key, PEM."),
          })
          .describe("Another certificate, shown to clients that ask by SNI for a name in it."),
      )
      .prefault([]),
  })
  .describe('What listeners with TLS show. Read anew on SIGHUP. Needed unless all listeners have `tls = "none"`.');

const localDomain = z
  .strictObject({
    name: domain().describe("The domain."),
    deliver: text(
      '"maildir:PATH" (with {user} and {domain}), "lmtp://HOST:PORT" or "discard:"',
      parseLocalDelivery,
    ).describe(
      "How its mail ends: in a Maildir (relative to this file; `{user}` is the local part), at an LMTP server, or nowhere.",
    ),
    recipients: z
      .array(text('a local part such as "ann" or "sales", or "*"', parseRecipient))
      .prefault(["*"])
      .describe(
        "Who has a mailbox, by what stands before the `@`; sub-addresses (`ann+lists`) and case do not count. Mail to anybody else " +
          "is refused with 550 5.1.1. `*` is everybody. The postmaster always has one.",
      ),
  })
  .describe("Mail that ends here.");

const smtp = z
  .strictObject({
    vrfy: z
      .boolean()
      .prefault(true)
      .describe(
        "Answer VRFY with 252, which tells nothing about the address (RFC 5321 §3.5.3). `false`: 502, not served.",
      ),
  })
  .describe("What clients of the listeners are answered.");

const relay = z
  .strictObject({
    networks: z
      .array(network())
      .prefault([])
      .describe("Clients of an `mx` listener that may send anywhere. Everybody else may only reach the domains above."),
  })
  .describe("Who may send through this server without a password.");

const dns = z
  .strictObject({
    servers: z
      .array(text('"ADDRESS:PORT" such as "127.0.0.1:53"', (written) => parseEndpoint(written, 53)))
      .prefault([])
      .describe("Resolvers to ask, in order. None: the system's."),
    trust_ad: z
      .boolean()
      .prefault(false)
      .describe("The path to these servers is trusted (same host, or a tunnel), so their DNSSEC verdict (AD) counts."),
  })
  .describe("How names are looked up.");

const address = () => text('an address such as "postmaster@example.org"', parseAddress);

const tlsReport = z
  .strictObject({
    send: z
      .boolean()
      .prefault(true)
      .describe(
        "Send a report a day to each domain that publishes where to (`_smtp._tls`), on the TLS of our connections.",
      ),
    contact: address().optional().describe("Who is responsible for the reports. Without it: postmaster@ our own name."),
    from: address()
      .optional()
      .describe("Who mailed reports come from, in envelope and header section. Without it: `contact`."),
    organization: z.string().min(1).max(200).optional().describe("Who reports, in words. Without it: our own name."),
    networks: z
      .array(network())
      .prefault([])
      .describe("Networks of your own that reports may be sent into over HTTPS. Public addresses need not be named."),
  })
  .describe("Reports on TLS to other domains (RFC 8460).");

const limits = z
  .strictObject({
    message_size: byteSize().prefault("50 MiB").describe("The largest message taken; announced as SIZE (RFC 1870)."),
    recipients: count(100_000).prefault(1000).describe("Recipients of one message; announced as RCPTMAX (RFC 9422)."),
    transactions: count(1_000_000)
      .prefault(10_000)
      .describe(
        "Messages offered in one inbound connection; announced as MAILMAX (RFC 9422). Then the client is told 421.",
      ),
    connections: count(100_000).prefault(1000).describe("Inbound connections at once, in all."),
    connections_per_address: count(100_000).prefault(50).describe("Inbound connections at once from one address."),
    errors: count(1000).prefault(20).describe("Refused commands after which a connection is closed."),
    hops: count(1000).prefault(100).describe("Received fields after which a message is taken to loop (RFC 5321 §6.3)."),
    future_release: duration()
      .prefault("30d")
      .describe("The longest time that users of `submission` may have their mail held back (RFC 4865)."),
    memory: byteSize().prefault("64 MiB").describe("Bodies kept in memory between acceptance and a first delivery."),
  })
  .describe("What one peer, and all together, may use.");

const timeouts = z
  .strictObject({
    command: timeout().prefault("5m").describe("For the next command of a client (RFC 5321 §4.5.3.2.7)."),
    data: timeout().prefault("5m").describe("For the next octets of a message."),
    handshake: timeout().prefault("30s").describe("For a TLS handshake, in and out."),
    connect: timeout().prefault("30s").describe("For a connection to another server to open."),
    stop: timeout().prefault("10s").describe("What running sessions get to end in when the daemon is told to stop."),
  })
  .describe("How long to wait.");

const log = z
  .strictObject({
    level: z.enum(["debug", "info", "warn", "error"]).prefault("info").describe("The least important line written."),
    format: z
      .enum(["json", "pretty", "auto"])
      .prefault("auto")
      .describe("`json`: one object a line. `pretty`: for people. `auto`: pretty on a terminal, else JSON."),
    pulse: duration()
      .prefault("5m")
      .describe(
        "How often a line `daemon.pulse` tells of the process: memory, open files and sockets, delay of its event loop.",
      ),
  })
  .describe("The log.");

/**
 * Every setting, in the order of the reference page: its type, default, check, help and accepted form. The JSON Schema, the
 * reference page and the texts of problems are made from this alone.
 */
export const settings = z
  .strictObject({
    hostname: domain().describe("The name of this server, used in its greeting, in EHLO and in trace fields."),
    data_dir: path('the path of a folder, such as "data"')
      .prefault("data")
      .describe("Where the queue and the users are kept. Relative to this file; made when it is not there."),
    workers: z
      .union([count(MAX_WORKERS), z.literal("auto")])
      .prefault(1)
      .meta({ accepted: `a whole number from 1 to ${MAX_WORKERS}, or "auto"` })
      .describe(
        "Processes that serve the same ports, each with a queue and deliveries of its own; `auto`: one for each core. Limits of " +
          "connections, deliveries and memory are divided among them. More than one needs a system with SO_REUSEPORT, such as Linux.",
      ),
    listener: z.array(listener).min(1).meta({ accepted: "at least one [[listener]]" }),
    tls: tls.optional(),
    domain: z.array(localDomain).prefault([]),
    smtp: smtp.prefault({}),
    auth: auth.prefault({}),
    submission: submission.prefault({}),
    relay: relay.prefault({}),
    peer: z.array(peer).prefault([]),
    route: z.array(route).prefault([]),
    delivery: delivery.prefault({}),
    web: z.array(web).prefault([]),
    mta_sts: mtaSts.prefault({}),
    autoconfig: autoconfig.prefault({}),
    dns: dns.prefault({}),
    tls_report: tlsReport.prefault({}),
    limits: limits.prefault({}),
    timeouts: timeouts.prefault({}),
    queue: queue.prefault({}),
    retry: z.array(retry).prefault([]),
    limit: z.array(limit).prefault([]),
    log: log.prefault({}),
    metrics: metrics.optional(),
  })
  .describe("The configuration of Postern, a TOML file.");

export type Settings = z.output<typeof settings>;
