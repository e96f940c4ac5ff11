import type { Clock } from "../base/index.ts";
import type { Stream } from "../net/index.ts";
import { formatReply, type Reply } from "../smtp/index.ts";

/** The last word to a peer that has no session: it is said, and the connection ended, at the latest after `linger` ms. */
export function turnAway(stream: Stream, reply: Reply, clock: Clock, linger: number, closed: () => void): void {
  const timer = clock.after(linger, () => stream.destroy());
  stream.attach({
    data() {},
    drained() {},
    ended() {},
    closed() {
      timer.cancel();
      closed();
    },
  });
  stream.write(formatReply(reply));
  stream.end();
}
