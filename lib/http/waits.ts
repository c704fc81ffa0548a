/** The waits under way for answers: each ends after its time or when its client goes, and all at once when the server stops. */
export class Waits {
  private readonly open = new Set<AbortController>();
  private stopped = false;

  /**
   * @param ms how long at most
   * @param gone aborted when the client has gone
   * @returns aborted then, or at the stop
   */
  within(ms: number, gone: AbortSignal): AbortSignal {
    const wait = this.begin(gone);
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
    return this.begin(gone).signal;
  }

  private begin(gone: AbortSignal): AbortController {
    const wait = new AbortController();
    this.open.add(wait);
    wait.signal.addEventListener("abort", () => this.open.delete(wait));
    if (this.stopped || gone.aborted) wait.abort();
    else gone.addEventListener("abort", () => wait.abort(), { once: true });
    return wait;
  }

  /** Ends all waits, also those to come. */
  stop(): void {
    this.stopped = true;
    for (const wait of this.open) wait.abort();
  }
}
