import type { ClearStream, Endpoint, Stream, StreamHandler, TlsInfo } from "../../net/index.ts";
import type { LinkEnd } from "./link-end.ts";

/** A stream over one end. An upgrade makes a second one over the same end. */
export class LinkStream implements Stream {
  readonly linkEnd: LinkEnd;
  readonly tls: TlsInfo | null;

  constructor(end: LinkEnd, tls: TlsInfo | null) {
    this.linkEnd = end;
    this.tls = tls;
  }

  get peer(): Endpoint {
    return this.linkEnd.peer;
  }

  get local(): Endpoint {
    return this.linkEnd.local;
  }

  get unsent(): number {
    return this.linkEnd.unsent;
  }

  attach(handler: StreamHandler): void {
    this.linkEnd.attach(handler);
  }

  write(bytes: Uint8Array): boolean {
    return this.linkEnd.write(bytes);
  }

  pause(): void {
    this.linkEnd.pause();
  }

  resume(): void {
    this.linkEnd.resume();
  }

  end(): void {
    this.linkEnd.end();
  }

  destroy(): void {
    this.linkEnd.destroy();
  }

  cork(): void {
    this.linkEnd.cork();
  }

  uncork(): void {
    this.linkEnd.uncork();
  }
}

/** A stream before any TLS. */
export class ClearLinkStream extends LinkStream implements ClearStream {
  override readonly tls = null;

  constructor(end: LinkEnd) {
    super(end, null);
  }
}
