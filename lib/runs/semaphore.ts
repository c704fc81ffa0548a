import { AppError } from "../errors";
import { measure } from "../support/measure";

/** Limits concurrent runs. Waiting runs get a permit in the order of their requests. */
export class Semaphore {
  private acquired = 0;
  private readonly queue: (() => void)[] = [];

  /**
   * @param permits that can be held at a time
   * @param waitTimeoutMs how long `acquire` waits
   */
  constructor(
    private readonly permits: number,
    private readonly waitTimeoutMs: number,
  ) {}

  /** Number of waiting runs. */
  get waiting(): number {
    return this.queue.length;
  }

  /** Number of permits held. */
  get inUse(): number {
    return this.acquired;
  }

  /**
   * @param cancelSignal ends the wait
   * @returns releases the permit; further calls do nothing
   * @throws AppError NO_ROOM after the timeout, ABANDONED if cancelled
   */
  async acquire(cancelSignal: AbortSignal): Promise<() => void> {
    if (cancelSignal.aborted) throw new AppError("ABANDONED");
    if (this.acquired < this.permits) this.acquired += 1;
    else await measure("queue", "slot", () => this.wait(cancelSignal));
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.queue.shift();
      if (next)
        next(); // passes the permit on, so the count stays
      else this.acquired -= 1;
    };
  }

  private wait(cancelSignal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        cleanUp();
        resolve();
      };
      const giveUp = (error: AppError) => {
        cleanUp();
        this.queue.splice(this.queue.indexOf(enter), 1);
        reject(error);
      };
      const timer = setTimeout(() => giveUp(new AppError("NO_ROOM")), this.waitTimeoutMs);
      const onCancel = () => giveUp(new AppError("ABANDONED"));
      const cleanUp = () => {
        clearTimeout(timer);
        cancelSignal.removeEventListener("abort", onCancel);
      };
      cancelSignal.addEventListener("abort", onCancel, { once: true });
      this.queue.push(enter);
    });
  }
}
