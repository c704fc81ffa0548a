import type { NodeRecord } from "./record";

/** First and longest pause (ms) before a peer that didn't answer is tried again. */
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 15_000;

/** Another node, as this one knows it. All times are this process's own: clocks of machines differ. */
export class Peer {
  private pause = 0;
  private triedAgainAt = 0;
  private why: string | undefined;
  /** when it was last heard of: its record had changed, or it answered */
  lastSeen = performance.now();
  /** when it was found missing, if it is */
  missingSince = 0;

  constructor(public record: NodeRecord) {}

  get name(): string {
    return this.record.name;
  }

  /** Why it is left out at present; undefined if it isn't. */
  get missing(): string | undefined {
    return this.why;
  }

  /** @param record what the store holds of it now */
  published(record: NodeRecord): void {
    const changed = record.process !== this.record.process || record.sequence !== this.record.sequence;
    this.record = record;
    if (!changed) return;
    this.lastSeen = performance.now();
    // Whoever publishes lives: it is asked again at once.
    this.triedAgainAt = 0;
    this.pause = 0;
  }

  answered(): void {
    this.lastSeen = performance.now();
    this.why = undefined;
    this.pause = 0;
  }

  /** @param reason for people: refused, timed out … */
  failed(reason: string): void {
    if (this.why === undefined) this.missingSince = performance.now();
    this.why = reason;
    this.pause = Math.min(this.pause === 0 ? FIRST_PAUSE : this.pause * 2, LONGEST_PAUSE);
    this.triedAgainAt = performance.now() + this.pause;
  }

  /** Whether it is time to ask a missing peer again. */
  get due(): boolean {
    return this.why !== undefined && performance.now() >= this.triedAgainAt;
  }
}
