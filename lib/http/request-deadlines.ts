/** The abort signals of running requests: each aborts at its deadline or when its client disconnects, and all abort when the server stops. */
export class RequestDeadlines {
  private readonly timed = new AbortGroup();
  private readonly unbounded = new AbortGroup();
  private readonly runs = new AbortGroup();

  /**
   * Makes the signal of an operation with a deadline.
   * @param clientSignal aborted when the client disconnects
   * @returns aborted then, after `ms`, or by `stop`
   */
  within(ms: number, clientSignal: AbortSignal): AbortSignal {
    const controller = this.timed.add(clientSignal);
    const timer = setTimeout(() => controller.abort(), ms);
    controller.signal.addEventListener("abort", () => clearTimeout(timer));
    if (controller.signal.aborted) clearTimeout(timer);
    return controller.signal;
  }

  /**
   * Makes the signal of an operation without a deadline, such as a followed log.
   * @param clientSignal aborted when the client disconnects
   * @returns aborted then, or by `stopUnbounded`
   */
  untilStop(clientSignal: AbortSignal): AbortSignal {
    return this.unbounded.add(clientSignal).signal;
  }

  /**
   * Makes the signal of a run that ends with its request.
   * @param clientSignal aborted when the client disconnects
   * @returns aborted then, or by `stopRuns`
   */
  untilRunsStop(clientSignal: AbortSignal): AbortSignal {
    return this.runs.add(clientSignal).signal;
  }

  /** Aborts the signals without a deadline, and every later one at once. */
  stopUnbounded(): void {
    this.unbounded.abortAll();
  }

  /** Aborts the signals of runs, and every later one at once. */
  stopRuns(): void {
    this.runs.abortAll();
  }

  /** Aborts all signals but those of runs, and every later one at once. */
  stop(): void {
    this.unbounded.abortAll();
    this.timed.abortAll();
  }
}

class AbortGroup {
  private readonly controllers = new Set<AbortController>();
  private stopped = false;

  add(clientSignal: AbortSignal): AbortController {
    const controller = new AbortController();
    this.controllers.add(controller);
    controller.signal.addEventListener("abort", () => this.controllers.delete(controller));
    if (this.stopped || clientSignal.aborted) controller.abort();
    else clientSignal.addEventListener("abort", () => controller.abort(), { once: true });
    return controller;
  }

  abortAll(): void {
    this.stopped = true;
    for (const controller of this.controllers) controller.abort();
  }
}
