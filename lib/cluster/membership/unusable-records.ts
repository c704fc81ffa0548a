import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Logger } from "../../support/logger";

/** Of the warnings: anyone who may write to the store can put any number of records there. */
const MAX_WARNINGS = 100;

/** The records in the store that are ignored. Their keys and reasons come from whoever wrote them, so both are cut. */
export class UnusableRecords {
  /** Hashes of those that have been logged. */
  private readonly logged = new LRUCache<string, true>({ max: 1000 });
  /** Why records of the last read of the store are ignored, by key. */
  private readonly ignored = new Map<string, string>();

  constructor(private readonly log: Logger) {}

  /** To be called before the records of another read of the store are noted. */
  beginRead(): void {
    this.ignored.clear();
  }

  /** Logs a record once, since the store is read every few seconds. */
  note(key: string, reason: string): void {
    const shown = { key: key.slice(0, 100), reason: reason.slice(0, 300) };
    const hash = createHash("sha256").update(`${key}\n${reason}`).digest("base64");
    if (!this.logged.has(hash)) this.log.warn("Store record ignored", shown);
    this.logged.set(hash, true);
    if (this.ignored.size < MAX_WARNINGS) this.ignored.set(shown.key, shown.reason);
  }

  /** A sentence about each record, of 100 at most: its node may be meant to be a member. */
  get warnings(): string[] {
    return [...this.ignored].map(([key, reason]) => `The record ${key} in the store is ignored: ${reason}`);
  }
}
