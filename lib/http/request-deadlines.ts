/** The waits under way for answers: each ends after its time or when its client goes, and all when the server stops. */
export class RequestDeadlines {
  private readonly timed = new OpenWaits();
  private readonly endless = new OpenWaits();

  /**
   * @param ms how long at most
   * @param gone aborted when the client has gone
   * @returns aborted then, or at the stop
   */
  within(ms: number, gone: AbortSignal): AbortSignal {
    const wait = this.timed.begin(gone);
    const timer = setTimeout(() => wait.abort(), ms);
    wait.signal.addEventListener("abort", () => clearTimeout(timer));
    if (wait.signal.aborted) clearTimeout(timer);
    return wait.signal;
  }

  /**
   * @param gone aborted when the client has gone
   * @returns aborted then, or at the stop
   */
  untilStop(gone: AbortSignal): AbortSignal {
    return this.endless.begin(gone).signal;
  }

  /** Ends what has no end of its own, also what is to come. */
  stopEndless(): void {
    this.endless.stop();
  }

  /** Ends all waits, also those to come. */
  stop(): void {
    this.endless.stop();
    this.timed.stop();
  }
}

class OpenWaits {
  private readonly open = new Set<AbortController>();
  private stopped = false;

  begin(gone: AbortSignal): AbortController {
    const wait = new AbortController();
    this.open.add(wait);
    wait.signal.addEventListener("abort", () => this.open.delete(wait));
    if (this.stopped || gone.aborted) wait.abort();
    else gone.addEventListener("abort", () => wait.abort(), { once: true });
    return wait;
  }

  stop(): void {
    this.stopped = true;
    for (const wait of this.open) wait.abort();
  }
}
