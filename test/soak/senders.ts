// Those who send mail in a soak run: programs on port 25 in clear text and over TLS, and a user of submission.
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, type ClientOptions, createClient } from "../../src/client/index.ts";
import type { Node } from "../node.ts";
import { soakMail } from "./mail.ts";
import type { Count } from "./tally.ts";

export const USER = { name: "soak@load.test", password: "a long enough password" } as const;

/** Messages over one connection; then the next one is made. */
const PER_CONNECTION = 60;
/** Behind by more than this, milliseconds, what was missed is not made up for. */
const MOST_BEHIND = 1000;

export class Senders {
  readonly #options: readonly ClientOptions[];
  readonly #count: Count;
  #number = 0;

  constructor(node: Node, count: Count) {
    this.#count = count;
    const host = "127.0.0.1";
    const auth = { user: USER.name, password: USER.password };
    this.#options = [
      { host, port: node.ports.mx, tls: "none" },
      { host, port: node.ports.mx, tls: "starttls", verify: "nothing" },
      { host, port: node.ports.mx, tls: "none", chunking: "never" },
      { host, port: node.ports.mx, tls: "starttls", verify: "nothing" },
      { host, port: node.ports.submission, tls: "starttls", verify: "nothing", auth },
      { host, port: node.ports.submissions, tls: "implicit", verify: "nothing", auth },
    ];
  }

  /** Sends until `over`, at `rate` messages a second in all, or as fast as it goes for null. */
  async run(rate: number | null, over: () => boolean): Promise<void> {
    const begun = performance.now();
    let turn = 0;
    const pace = rate === null ? null : (): number => begun + (turn++ * 1000) / rate;
    await Promise.all(this.#options.map((options) => this.#send(options, pace, over)));
  }

  async #send(options: ClientOptions, pace: (() => number) | null, over: () => boolean): Promise<void> {
    while (!over()) {
      await using client = createClient({ ...options, maxConnections: 1 });
      for (let sent = 0; sent < PER_CONNECTION && !over(); sent++) {
        const wait = pace === null ? 0 : pace() - performance.now();
        if (wait < -MOST_BEHIND) continue;
        if (wait > 0) await sleep(wait);
        await this.#sendOne(client);
      }
    }
  }

  async #sendOne(client: Client): Promise<void> {
    const mail = soakMail(++this.#number);
    this.#count.sending(mail.number, mail.refused);
    const sent = await client.send({ from: mail.sender, to: mail.recipient, message: mail.chunks() });
    if (sent.ok && sent.value.accepted) this.#count.acknowledged(mail.number);
    else this.#count.notTaken();
  }
}
