import { z } from "zod";
import { err, ok, type Result } from "../base/index.ts";
import { duration, network, port, text } from "./forms.ts";
import type { MtaStsConfig } from "./model.ts";
import type { Finding } from "./problems.ts";
import type { Settings } from "./schema.ts";
import { parseEndpoint, parseName } from "./values.ts";
import { field, list } from "./written.ts";

/** A host of a policy: a name, or `*.` and a name (RFC 8461 §3.2). */
function parseMxPattern(written: string): Result<string, string> {
  const below = written.startsWith("*.");
  const name = parseName(below ? written.slice(2) : written);
  if (!name.ok) return err(`${JSON.stringify(written)} is not a host name, nor a name behind *.`);
  return ok(below ? `*.${name.value}` : name.value);
}

export const web = z
  .strictObject({
    address: text('"ADDRESS:PORT" such as "0.0.0.0:443" or "[::]:443"', parseEndpoint).describe(
      "Where to listen. Port 0 takes any free port.",
    ),
    tls: z
      .enum(["implicit", "none"])
      .prefault("implicit")
      .describe(
        "`implicit` is HTTPS with the certificates of `[tls]`, which must name `mta-sts.DOMAIN` (and " +
          "`autoconfig.DOMAIN`, where users submit) for each domain. `none` is for a proxy in front that does TLS.",
      ),
  })
  .describe(
    "A port for pages that other programs fetch over HTTPS: the MTA-STS policy of the domains above, and the settings of mail programs.",
  );

export const mtaSts = z
  .strictObject({
    mode: z
      .enum(["enforce", "testing", "none"])
      .prefault("testing")
      .describe(
        "What the policy asks of senders: TLS with a valid certificate (`enforce`), reports on failures only (`testing`), or nothing " +
          "any more (`none`). Served at `[[web]]` as `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`.",
      ),
    mx: z
      .array(text('a host such as "mail.example.org" or "*.example.org"', parseMxPattern))
      .prefault([])
      .describe("The hosts that take the domains' mail, as MX records name them. None: `hostname`."),
    max_age: duration()
      .prefault("7d")
      .describe("How long senders may hold to the policy. Weeks, once `enforce` has proven itself."),
    fetch_port: port()
      .prefault(443)
      .describe("The port at the policy hosts of others. Another is of use in tests only."),
    fetch_networks: z
      .array(network())
      .prefault([])
      .describe("Networks that are not public, and that policies are fetched from all the same."),
  })
  .describe("MTA-STS (RFC 8461): the policy of the domains above, and how those of others are fetched.");

export function mtaStsOf({ hostname, mta_sts: given }: Settings): MtaStsConfig {
  return {
    mode: given.mode,
    mx: given.mx.length > 0 ? given.mx : [hostname],
    maxAge: given.max_age,
    fetchPort: given.fetch_port,
    fetchNetworks: given.fetch_networks,
  };
}

export function webFindings(written: unknown): Finding[] {
  const certified = field(written, "tls") !== undefined;
  const taken = new Set(list(written, "listener").map(endpointOf));
  return list(written, "web").flatMap((listener, position) => {
    const path = ["web", position];
    const found: Finding[] = [];
    if (!certified && (field(listener, "tls") ?? "implicit") === "implicit") {
      const remedy = 'add [tls] with certificate and private_key, or write tls = "none" behind a proxy';
      found.push({ path, problem: "offers TLS, and there is no certificate", remedy });
    }
    const endpoint = endpointOf(listener);
    if (endpoint !== null && taken.has(endpoint)) {
      const remedy = "give each listener a port of its own";
      found.push({ path: [...path, "address"], problem: "another listener has this address", remedy });
    }
    taken.add(endpoint);
    return found;
  });
}

/** Null for what is no endpoint, and for any free port. */
export function endpointOf(listener: unknown): string | null {
  const address = parseEndpoint(String(field(listener, "address")));
  return address.ok && address.value.port !== 0 ? `${address.value.address} ${address.value.port}` : null;
}
