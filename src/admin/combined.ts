import type { ActionReport, AdminOperations, ListRequest } from "./operations.ts";

/**
 * Several queues as one: those of all workers, as many as `queues` has at the time of the call. Their ids differ, so a message is in
 * one of them only. An operation that cannot be done at one queue fails as a whole; what it did at others stays done.
 */
export function combineOperations(queues: () => readonly AdminOperations[]): AdminOperations {
  return {
    async list(request) {
      const pages = await Promise.all(queues().map((queue) => pageOf(queue, request)));
      // What stands behind the end of a page in other queues comes after the rest of that page.
      const ends = pages.flatMap(({ end }) => (end === null ? [] : [end]));
      return pages
        .flatMap(({ messages }) => messages)
        .filter(({ id }) => ends.every((end) => id <= end))
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, request.limit);
    },
    async show(id) {
      const found = await Promise.all(queues().map((queue) => queue.show(id)));
      return found.find((message) => message !== null) ?? null;
    },
    async history(request) {
      const all = await Promise.all(queues().map((queue) => queue.history(request)));
      return all
        .flat()
        .sort((a, b) => (a.finishedAt < b.finishedAt ? 1 : a.finishedAt > b.finishedAt ? -1 : 0))
        .slice(0, request.limit);
    },
    async act(action, target, options) {
      const reports = await Promise.all(queues().map((queue) => queue.act(action, target, options)));
      return "id" in target ? reportOfOne(reports) : reportOfAll(reports);
    },
    async counts() {
      const all = await Promise.all(queues().map((queue) => queue.counts()));
      const sum = { messages: 0, recipients: 0, held: 0, claimed: 0, octets: 0 };
      for (const counts of all) {
        sum.messages += counts.messages;
        sum.recipients += counts.recipients;
        sum.held += counts.held;
        sum.claimed += counts.claimed;
        sum.octets += counts.octets;
      }
      return sum;
    },
  };
}

/** A page of one queue; `end` is its last id where it was cut short, with fewer messages than were asked for. */
async function pageOf(queue: AdminOperations, request: ListRequest) {
  const messages = await queue.list(request);
  const last = messages.at(-1)?.id;
  if (last === undefined || messages.length >= request.limit) return { messages, end: null };
  const more = await queue.list({ ...request, limit: 1, after: last });
  return { messages, end: more.length === 0 ? null : last };
}

/** All queues but the one that has the message say that they do not know it. */
function reportOfOne(reports: readonly ActionReport[]): ActionReport {
  const knows = ({ done, refused }: ActionReport): boolean =>
    done.length > 0 || refused.some(({ reason }) => reason !== "unknown");
  return reports.find(knows) ?? reports[0] ?? { done: [], recipients: 0, refused: [] };
}

function reportOfAll(reports: readonly ActionReport[]): ActionReport {
  return {
    done: reports.flatMap(({ done }) => done).sort(),
    recipients: reports.reduce((sum, { recipients }) => sum + recipients, 0),
    refused: reports.flatMap(({ refused }) => refused).sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}
