import { startPostfix } from "../../test/interop/postfix.ts";
import type { Subject, SubjectOptions } from "../subject.ts";

/** Postfix at its defaults, fsync included; only limits that would throttle one client are lifted. */
export async function postfix(options: SubjectOptions): Promise<Subject> {
  const peer = await startPostfix({
    port: options.port,
    certificate: options.certificate,
    privateKey: options.privateKey,
    settings: {
      relayhost: `[127.0.0.1]:${options.sinkPort}`,
      smtp_tls_security_level: options.relayTls ? "may" : "none",
      transport_maps: "inline:{discard.test=discard:}",
    },
  });
  return { name: "postfix", port: options.port, pid: peer.pid, stop: () => peer.stop() };
}
