// The npm package smtp-server: it accepts and stores nothing, so that it shows what its protocol engine costs and no more.
import { SMTPServer } from "smtp-server";
import type { SubjectOptions } from "../subject.ts";

function serve({ port, certificate, privateKey, messageMiB = 50 }: SubjectOptions): void {
  const server = new SMTPServer({
    cert: certificate,
    key: privateKey,
    authOptional: true,
    disabledCommands: ["AUTH"],
    disableReverseLookup: true,
    maxClients: 20_000,
    size: messageMiB * 2 ** 20,
    logger: false,
    onData(stream, _session, done) {
      stream.resume();
      stream.on("end", () => done());
    },
  });
  server.on("error", () => {});
  server.listen(port, "127.0.0.1", () => process.send?.("ready"));
  process.on("disconnect", () => process.exit(0));
}

const options = process.argv[2];
if (import.meta.main && options !== undefined) serve(JSON.parse(options));
