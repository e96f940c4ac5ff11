/** What a destination or a host of it may be burdened with; null: what is learned. */
export interface Limit {
  /** Transactions begun in a minute, evenly spaced. */
  readonly messagesPerMinute: number | null;
  /** Connections, and so deliveries, at a time. */
  readonly connections: number | null;
  /** Messages sent over one connection before it is closed. */
  readonly messagesPerConnection: number | null;
}

/** One line of the table of limits. */
export interface LimitRule extends Limit {
  /** `example.org` that name alone, `.example.org` all below it, `*` everything. */
  readonly match: string;
}

export const noLimit: Limit = { messagesPerMinute: null, connections: null, messagesPerConnection: null };

/** The limit of a domain or a host by its name, in lower case and A-labels; the first rule that matches counts, alone. */
export function limitOf(rules: readonly LimitRule[], name: string): Limit {
  return rules.find(({ match }) => matchesName(match, name)) ?? noLimit;
}

/** Whether `*`, `example.org` or `.example.org` (all below it) names this domain or host. */
export function matchesName(match: string, name: string): boolean {
  if (match === "*") return true;
  if (match.startsWith(".")) return name.length > match.length && name.endsWith(match);
  return match === name;
}
