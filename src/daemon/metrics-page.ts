// Where metrics are collected: one page, in clear text, without authentication.
import { err, type Log, ok, type Result } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { EXPOSITION_TYPE, formatReadings, type Told } from "../metrics/index.ts";
import { type Endpoint, systemClock } from "../net/index.ts";
import { createWebServer, type Page } from "../web/index.ts";
import { listenProblem } from "./checks.ts";

export interface MetricsPage {
  readonly endpoints: readonly Endpoint[];
  stop(): Promise<void>;
}

/** Serves at `[metrics]` what `source` tells, asked for each request; nowhere where there is neither. A failure is one plain line. */
export async function openMetrics(
  { metrics }: Pick<Config, "metrics">,
  source: { tell(): Promise<Told> } | null,
  log: Log,
): Promise<Result<MetricsPage, string>> {
  if (metrics === null || source === null) return ok({ endpoints: [], stop: async () => {} });
  const page: Page = {
    path: "/metrics",
    serves: () => true,
    async respond() {
      const { readings } = await source.tell();
      return { status: 200, type: EXPOSITION_TYPE, body: formatReadings(readings), maxAge: 0 };
    },
  };
  const { address, port } = metrics.address;
  const listeners = [{ address, port, tls: "none" }] as const;
  const server = createWebServer({ listeners, tls: null, pages: () => [page], clock: systemClock, log });
  const started = await server.start();
  if (started.ok) return ok({ endpoints: started.value, stop: () => server.stop() });
  return err(listenProblem(`${address}:${port}`, started.error.problem, "[metrics]"));
}
