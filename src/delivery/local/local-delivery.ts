import { asError, type Log, printable } from "../../base/index.ts";
import type { Body, Outcome, QueuedMessage, Recipient, Scope } from "../../queue/index.ts";
import { formatMailbox } from "../../smtp/index.ts";
import { events } from "../events.ts";
import { mailboxPath } from "./mailbox-path.ts";
import { errorCode, type Maildir } from "./maildir.ts";

export interface LocalJob {
  readonly message: QueuedMessage;
  readonly recipient: Recipient;
  readonly body: Body;
  readonly log: Log;
}

/** Writes one recipient's copy into the Maildir that `template` names. Never rejects: a full or broken disk defers. */
export async function deliverToMaildir(maildir: Maildir, template: string, job: LocalJob): Promise<Outcome> {
  const { mailbox } = job.recipient;
  const recipient = printable(formatMailbox(mailbox));
  const folder = mailboxPath(template, mailbox);
  if (folder === null) {
    const problem = { text: `${recipient} cannot name a mailbox here`, reply: null, status: "5.1.1" };
    return { kind: "failed", scope: "recipient", problem, hop: null };
  }
  try {
    const file = await maildir.deliver({
      folder,
      reversePath: job.message.reversePath,
      recipient: mailbox,
      body: job.body,
    });
    job.log.debug(events.stored, { recipient, file });
    return delivered("maildir", "written to disk and synced");
  } catch (error) {
    job.log.error(events.storeFailed, { recipient, path: folder, error: asError(error) });
    return diskFailure(error);
  }
}

/** Throws one recipient's copy away, as configured. */
export function discard(job: LocalJob): Outcome {
  job.log.info(events.discarded, { recipient: printable(formatMailbox(job.recipient.mailbox)) });
  return delivered("discard", "thrown away as configured");
}

function delivered(host: string, rule: string): Outcome {
  return { kind: "delivered", reply: null, hop: { host, address: null, port: null, tls: null, rule } };
}

/** Paths and the system's words stay in the log: this text may go into a report to a stranger. */
function diskFailure(error: unknown): Outcome {
  const [status, scope, text] = describe(errorCode(error));
  return { kind: "deferred", scope, problem: { text, reply: null, status }, hop: null };
}

function describe(code: string | null): readonly [status: string, scope: Scope, text: string] {
  switch (code) {
    case "ENOSPC":
      return ["4.3.1", "host", "the disk of the mailbox is full"];
    case "EDQUOT":
      return ["4.2.2", "recipient", "the mailbox has used up its share of the disk"];
    case "EACCES":
    case "EPERM":
      return ["4.3.0", "recipient", "the mailbox folder may not be written; its permissions need repair"];
    case "EROFS":
      return ["4.3.0", "host", "the disk of the mailbox is read-only"];
    case "ENOTDIR":
    case "EEXIST":
    case "EISDIR":
      return ["4.3.5", "recipient", "something that is no folder stands where the mailbox should be"];
    case "ENAMETOOLONG":
      return ["4.3.5", "recipient", "the path of the mailbox is too long"];
    case "EMFILE":
    case "ENFILE":
      return ["4.3.0", "host", "too many files are open"];
    default:
      return ["4.3.0", "recipient", "the mailbox could not be written"];
  }
}
