import { AppError } from "../errors";

/** Places for runs: so many at a time, the next wait their turn, first come, first served. */
export class Semaphore {
  private held = 0;
  private readonly queue: (() => void)[] = [];

  /**
   * @param size places
   * @param patience ms that one is waited for
   */
  constructor(
    private readonly size: number,
    private readonly patience: number,
  ) {}

  /** How many wait. */
  get waiting(): number {
    return this.queue.length;
  }

  /** How many are taken. */
  get inUse(): number {
    return this.held;
  }

  /**
   * @param ended ends the wait
   * @returns gives the place back; may be called twice
   * @throws AppError NO_ROOM if none comes free in time, ABANDONED
   */
  async acquire(ended: AbortSignal): Promise<() => void> {
    if (ended.aborted) throw new AppError("ABANDONED");
    if (this.held < this.size) this.held += 1;
    else await this.wait(ended);
    let mine = true;
    return () => {
      if (!mine) return;
      mine = false;
      const next = this.queue.shift();
      if (next)
        next(); // the place goes from hand to hand
      else this.held -= 1;
    };
  }

  private wait(ended: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        leave();
        resolve();
      };
      const give = (error: AppError) => {
        leave();
        this.queue.splice(this.queue.indexOf(enter), 1);
        reject(error);
      };
      const late = setTimeout(() => give(new AppError("NO_ROOM")), this.patience);
      const gone = () => give(new AppError("ABANDONED"));
      const leave = () => {
        clearTimeout(late);
        ended.removeEventListener("abort", gone);
      };
      ended.addEventListener("abort", gone, { once: true });
      this.queue.push(enter);
    });
  }
}
