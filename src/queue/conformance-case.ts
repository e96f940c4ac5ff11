import type { Clock } from "../base/index.ts";
import { stillClock } from "./conformance-kit.ts";
import type { OperableStore } from "./store.ts";

/** What every `OperableStore` must do, as tests without a runner: a store's test file registers each case with its own. */
export interface ConformanceCase {
  readonly title: string;
  /** `open` makes an empty store on its first call and, where the store is durable, opens the same queue after a close. */
  run(open: (clock: Clock) => Promise<OperableStore>): Promise<void>;
}

export function within(title: string, body: (store: OperableStore) => Promise<void>): ConformanceCase {
  return {
    title,
    async run(open) {
      const store = await open(stillClock);
      try {
        await body(store);
      } finally {
        await store.close();
      }
    },
  };
}
