// The pages that a configuration has served over HTTPS.
import { err, type Log, ok, type Result } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { type Endpoint, systemClock } from "../net/index.ts";
import { createWebServer, type Page } from "../web/index.ts";
import { settingsPages } from "./autoconfig.ts";
import { listenProblem } from "./checks.ts";
import { stsPage } from "./sts.ts";
import type { ServingTls } from "./tls.ts";

/** Pages that are being served. */
export interface Web {
  readonly endpoints: readonly Endpoint[];
  /** From the next request on, the pages of this configuration. */
  renew(config: Config): void;
  stop(): Promise<void>;
}

/** Begins to serve the pages at every `[[web]]`; a failure is one plain line. */
export async function openWeb(config: Config, tls: ServingTls | null, log: Log): Promise<Result<Web, string>> {
  let pages = pagesOf(config);
  const server = createWebServer({
    listeners: config.web.map(({ address, tls: mode }) => ({ ...address, tls: mode })),
    tls: tls?.pages ?? null,
    pages: () => pages,
    clock: systemClock,
    log,
  });
  const started = await server.start();
  const renew = (next: Config): void => {
    pages = pagesOf(next);
  };
  if (started.ok) return ok({ endpoints: started.value, renew, stop: () => server.stop() });
  const { listener, problem } = started.error;
  return err(listenProblem(`${listener.address}:${listener.port}`, problem, "[[web]]"));
}

/** Every page there is. */
function pagesOf(config: Config): readonly Page[] {
  return [stsPage(config), ...settingsPages(config)];
}
