import { z } from "zod";
import { err, ok, type Result } from "../base/index.ts";
import { text } from "./forms.ts";
import type { AutoconfigConfig, IncomingServer } from "./model.ts";
import { parseName, splitHostPort } from "./values.ts";

/** Ports where none is written (RFC 8314 §7.1, §7.2; RFC 9051 §2.1; RFC 1939 §3). */
const PORTS: Readonly<Record<IncomingServer["kind"], { readonly implicit: number; readonly startTls: number }>> = {
  imap: { implicit: 993, startTls: 143 },
  pop3: { implicit: 995, startTls: 110 },
};

/** `imaps://imap.example.org`: with the `s` TLS comes first, without it STARTTLS. Clear text has no form (RFC 8314 §3). */
export function parseIncoming(written: string): Result<IncomingServer, string> {
  const quoted = JSON.stringify(written.slice(0, 80));
  const [, kind, secure, authority = ""] = /^(imap|pop3)(s?):\/\/([^/]+)$/.exec(written) ?? [];
  if (kind !== "imap" && kind !== "pop3") return err(`${quoted} is not a server for incoming mail`);
  const implicit = secure === "s";
  const parts = splitHostPort(authority, PORTS[kind][implicit ? "implicit" : "startTls"]);
  if (parts === null || parts.port === 0) return err(`${quoted} does not name HOST or HOST:PORT`);
  const host = parseName(parts.host);
  // A certificate proves a name, and SRV records hold nothing else.
  if (!host.ok || /^[\d.]+$/.test(parts.host)) return err(`${quoted} does not name a host by its domain name`);
  return ok({ kind, implicit, host: host.value, port: parts.port });
}

/** `[autoconfig]`: what mail programs are told. */
export const autoconfig = z
  .strictObject({
    name: z
      .string()
      .regex(/^[^\p{Cc}\p{Cs}]{1,200}$/u)
      .optional()
      .meta({ accepted: 'a name such as "Example Post"' })
      .describe("What people read as the name of their provider. Without it: the domain of their address."),
    username: z
      .enum(["%EMAILADDRESS%", "%EMAILLOCALPART%"])
      .prefault("%EMAILADDRESS%")
      .describe(
        "What people log in as: their whole address, or what stands before the `@`; as users were named by `postern user add`.",
      ),
    incoming: z
      .array(text('a server such as "imaps://imap.example.org" or "pop3s://pop.example.org:995"', parseIncoming))
      .prefault([])
      .describe(
        "Where people read their mail, best first: `imaps:` or `pop3s:`, with STARTTLS `imap:` or `pop3:`. Thunderbird and others take no " +
          "settings without one.",
      ),
  })
  .describe(
    "What mail programs are told so that people need to type an address and a password only. Served at each `[[web]]`, where there is a " +
      "`submission` listener, as `https://autoconfig.DOMAIN/mail/config-v1.1.xml` and " +
      "`https://DOMAIN/.well-known/autoconfig/mail/config-v1.1.xml`; the certificate must name the host that is used. `postern dns` " +
      "prints the records.",
  );

export function autoconfigOf({ name, username, incoming }: z.output<typeof autoconfig>): AutoconfigConfig {
  return { name: name ?? null, username, incoming };
}
