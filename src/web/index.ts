/**
 * Pages that other programs fetch over HTTP(S): the MTA-STS policy of our domains (RFC 8461 §3.2), what mail programs look up, and metrics.
 * One answer to one request a connection; nothing here takes input beyond a request line and header. What a page says is handed in by the composition root. Begin with `page.ts`.
 */
export {
  type ClientAuthentication,
  type ClientSettings,
  formatClientSettings,
  type ServerSettings,
} from "./client-settings.ts";
export type { Page, PageRequest, PageResponse } from "./page.ts";
export { createWebServer, type WebListener, type WebServer, type WebServerOptions } from "./web-server.ts";
