import type { Logger } from "../../../support/logger";
import { withStoreTimeout } from "./store";

type StoreOperation = "publish" | "read" | "withdraw";

/** Runs operations on the store: a store that fails or hangs is logged once, and breaks nothing. */
export class StoreOperations {
  /** Operations whose last attempt failed. */
  private readonly failing = new Set<StoreOperation>();
  /** Operations that have not completed, even if their time is over. */
  private readonly pending = new Set<StoreOperation>();

  constructor(private readonly log: Logger) {}

  /** @returns undefined if the store failed; the first of several failures in a row is logged, and the recovery */
  async run<T>(operation: StoreOperation, use: () => Promise<T>): Promise<T | undefined> {
    const { log } = this;
    try {
      // Each attempt on a folder that hangs would block one more thread.
      if (this.pending.has(operation)) throw new Error("it has not answered yet");
      this.pending.add(operation);
      const result = await withStoreTimeout(use().finally(() => this.pending.delete(operation)));
      if (this.failing.delete(operation)) log.info("Store available again", { operation });
      return result;
    } catch (error) {
      if (!this.failing.has(operation))
        log.warn("Store unavailable, known nodes stay", { operation, reason: (error as Error).message.slice(0, 300) });
      this.failing.add(operation);
      return undefined;
    }
  }
}
