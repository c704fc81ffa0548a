/** A run counts as under way for so long (ms) at least: until then there is hardly another in its place. */
const REPLACED_AFTER = 1000;
/** What was needed is remembered for one to two of these (ms). */
const SPAN = 30_000;

/** How many sandboxes an image has needed at a time, of late. */
export class Demand {
  private current = 0;
  private peak = 0;
  private peakBefore = 0;
  private spanFrom: number;
  private usedAt: number;

  constructor(private readonly now: () => number = () => performance.now()) {
    this.spanFrom = now();
    this.usedAt = now();
  }

  /** @returns to be called at the run's end */
  beginRun(): () => void {
    this.roll();
    this.current += 1;
    this.peak = Math.max(this.peak, this.current);
    this.usedAt = this.now();
    const earliest = this.usedAt + REPLACED_AFTER;
    const end = () => {
      this.roll();
      this.current -= 1;
    };
    return () => {
      const rest = earliest - this.now();
      if (rest <= 0) end();
      else setTimeout(end, rest).unref();
    };
  }

  /** The most at a time in the last minute. */
  get recentPeak(): number {
    this.roll();
    return Math.max(this.peak, this.peakBefore);
  }

  /** ms since the last run began. */
  get idleMs(): number {
    return this.now() - this.usedAt;
  }

  private roll(): void {
    const spans = Math.floor((this.now() - this.spanFrom) / SPAN);
    if (spans === 0) return;
    this.peakBefore = spans === 1 ? this.peak : this.current;
    this.peak = this.current;
    this.spanFrom += spans * SPAN;
  }
}
