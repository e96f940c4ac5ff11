import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { head, load, type Measure, median, quiet, row, Sink, startSubjects, stopAll, TARPIT_PORT } from "../harness.ts";

const REPLY_MS = 5000;

const ROUTE = `[[route]]
match = "tarpit.test"
via = "smtp://127.0.0.1:${TARPIT_PORT}"
tls = "off"
`;

/** All mail for the tar-pit is in the queue and being tried when that for the fast host comes. */
export const tarpit: Measure = {
  name: "tarpit",
  what: "mail for a fast host, alone and beside as much for a tar-pit",
  async run(options) {
    const messages = options.messages ?? 10_000;
    head("round", "alone messages/s", "beside the tar-pit", "ratio");
    const ratios: number[] = [];
    for (let n = 1; n <= options.rounds; n++) {
      const alone = await fast(options, messages, false);
      const beside = await fast(options, messages, true);
      ratios.push(beside / alone);
      row(n, alone.toFixed(0), beside.toFixed(0), (beside / alone).toFixed(2));
    }
    row("median", "", "", median(ratios).toFixed(2));
  },
};

async function fast(options: Parameters<Measure["run"]>[0], messages: number, beside: boolean): Promise<number> {
  const sink = await Sink.start({ size: options.size, certificate: null, privateKey: null });
  const pit = fork(fileURLToPath(new URL("../tarpit.ts", import.meta.url)), [String(TARPIT_PORT), String(REPLY_MS)]);
  await once(pit, "message");
  const subjects = await startSubjects(["postern"], options, { postern: { config: ROUTE } });
  try {
    const [subject] = subjects;
    if (subject === undefined) throw new Error("Postern did not start");
    const task = { connections: options.connections, size: options.size, mode: "reuse", starttls: false } as const;
    await load(subject, { ...task, messages: 300, recipient: "sink@relay.test", firstNumber: sink.nextNumber });
    await sink.arrived(300);
    if (beside) await load(subject, { ...task, messages, recipient: "slow@tarpit.test", firstNumber: 1 });
    await quiet(subject);
    const result = await load(subject, {
      ...task,
      messages,
      recipient: "sink@relay.test",
      firstNumber: sink.nextNumber,
    });
    const { lastAt } = await sink.arrived(messages);
    return messages / Math.max(result.seconds, (lastAt - result.startedAt) / 1000);
  } finally {
    // What waits for the tar-pit would keep a graceful stop waiting, too.
    pit.disconnect();
    await stopAll(subjects);
    sink.stop();
  }
}
