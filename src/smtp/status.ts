/** An enhanced status code, class.subject.detail (RFC 3463 §2). */
export interface EnhancedStatus {
  readonly class: 2 | 4 | 5;
  /** 0 to 999. */
  readonly subject: number;
  /** 0 to 999. */
  readonly detail: number;
}

/** Parses exactly `5.7.1`; null for anything else. */
export declare function parseStatus(text: string): EnhancedStatus | null;
export declare function formatStatus(status: EnhancedStatus): string;
