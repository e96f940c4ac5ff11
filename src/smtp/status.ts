/** An enhanced status code, class.subject.detail (RFC 3463 §2). */
export interface EnhancedStatus {
  readonly class: 2 | 4 | 5;
  /** 0 to 999. */
  readonly subject: number;
  /** 0 to 999. */
  readonly detail: number;
}

/** RFC 3463 §2: no leading zeros. */
const STATUS = /^([245])\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})$/;

/** Parses exactly `5.7.1`; null for anything else. */
export function parseStatus(text: string): EnhancedStatus | null {
  const match = STATUS.exec(text);
  if (match === null) return null;
  const [, first, subject, detail] = match;
  const statusClass = first === "2" ? 2 : first === "4" ? 4 : 5;
  return { class: statusClass, subject: Number(subject), detail: Number(detail) };
}

export function formatStatus(status: EnhancedStatus): string {
  return `${status.class}.${status.subject}.${status.detail}`;
}
