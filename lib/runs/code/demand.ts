/** A run counts as running for at least this time: its sandbox's replacement is hardly ready earlier. */
const MIN_RUN_MS = 1000;
/** The peak of the current and the previous window counts. */
const PEAK_WINDOW_MS = 30_000;

/** How many sandboxes of an image were needed at a time recently. */
export class Demand {
  private current = 0;
  private peak = 0;
  private previousPeak = 0;
  private windowStart: number;
  private lastRunAt: number;

  /** @param now monotonic clock in ms */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.windowStart = now();
    this.lastRunAt = now();
  }

  /** @returns a function to be called at the run's end */
  beginRun(): () => void {
    this.advanceWindow();
    this.current += 1;
    this.peak = Math.max(this.peak, this.current);
    this.lastRunAt = this.now();
    const earliestEnd = this.lastRunAt + MIN_RUN_MS;
    const end = () => {
      this.advanceWindow();
      this.current -= 1;
    };
    return () => {
      const remainingMs = earliestEnd - this.now();
      if (remainingMs <= 0) end();
      else setTimeout(end, remainingMs).unref();
    };
  }

  /** The most concurrent runs in the last 30 to 60 seconds. */
  get recentPeak(): number {
    this.advanceWindow();
    return Math.max(this.peak, this.previousPeak);
  }

  /** Time since the last run began. */
  get idleMs(): number {
    return this.now() - this.lastRunAt;
  }

  private advanceWindow(): void {
    const windows = Math.floor((this.now() - this.windowStart) / PEAK_WINDOW_MS);
    if (windows === 0) return;
    this.previousPeak = windows === 1 ? this.peak : this.current;
    this.peak = this.current;
    this.windowStart += windows * PEAK_WINDOW_MS;
  }
}
