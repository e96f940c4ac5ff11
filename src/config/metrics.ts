import { z } from "zod";
import { text } from "./forms.ts";
import type { Finding } from "./problems.ts";
import { parseEndpoint } from "./values.ts";
import { endpointOf } from "./web.ts";
import { field, list } from "./written.ts";

export const metrics = z
  .strictObject({
    address: text('"ADDRESS:PORT" such as "127.0.0.1:9469" or "[::1]:9469"', parseEndpoint).describe(
      "Where to listen, for HTTP in clear text and without authentication: on loopback, or in a network of your own. Port 0 takes any free port.",
    ),
  })
  .describe(
    "Counters and measurements for Prometheus and its like, at `http://ADDRESS:PORT/metrics` (docs/metrics.md). Without this table nothing is " +
      "measured. With workers one address tells of all.",
  );

export function metricsFindings(written: unknown): Finding[] {
  const wanted = field(written, "metrics");
  const endpoint = wanted === undefined ? null : endpointOf(wanted);
  const others = [...list(written, "listener"), ...list(written, "web")].map(endpointOf);
  if (endpoint === null || !others.includes(endpoint)) return [];
  const remedy = "give each listener a port of its own";
  return [{ path: ["metrics", "address"], problem: "another listener has this address", remedy }];
}
