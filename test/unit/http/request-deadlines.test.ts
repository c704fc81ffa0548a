import { RequestDeadlines } from "../../../lib/http/request-deadlines";
import { settlesBefore } from "../../../lib/support/settles-before";

const NEVER_SETTLES = new Promise<never>(() => {});
const neverAborted = () => new AbortController().signal;

/** Resolves when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

describe("settlesBefore", () => {
  test("a promise that is fulfilled or rejected before the abort has settled", async () => {
    expect(await settlesBefore(Promise.resolve(1), neverAborted())).toBe(true);
    expect(await settlesBefore(Promise.reject(new Error("x")), neverAborted())).toBe(true);
  });

  test("a pending promise has not settled, whether the abort comes later or came before", async () => {
    const controller = new AbortController();
    const waiting = settlesBefore(NEVER_SETTLES, controller.signal);
    controller.abort();
    expect(await waiting).toBe(false);
    expect(await settlesBefore(NEVER_SETTLES, AbortSignal.abort())).toBe(false);
    expect(await settlesBefore(Promise.resolve(1), AbortSignal.abort())).toBe(false);
  });

  test("a rejection after the abort is not reported as unhandled", async () => {
    const unhandled: unknown[] = [];
    const record = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", record);
    let fail: (reason: Error) => void = () => {};
    const pending = new Promise((_, reject) => {
      fail = reject;
    });
    expect(await settlesBefore(pending, AbortSignal.abort())).toBe(false);
    fail(new Error("too late"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off("unhandledRejection", record);
    expect(unhandled).toEqual([]);
  });

  test("no listener stays on a longer-lived signal", async () => {
    const signal = neverAborted();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    await settlesBefore(Promise.resolve(), signal);
    await settlesBefore(Promise.reject(new Error("x")), signal);
    expect(listeners).toBe(0);
  });
});

describe("RequestDeadlines", () => {
  test("a signal aborts after its time", async () => {
    const signal = new RequestDeadlines().within(1, neverAborted());
    await aborted(signal);
    expect(signal.aborted).toBe(true);
  });

  test("a signal aborts when its client disconnects, before or after its creation, and no other signal does", () => {
    const deadlines = new RequestDeadlines();
    const client = new AbortController();
    const signal = deadlines.within(60_000, client.signal);
    const other = deadlines.within(60_000, neverAborted());
    expect(signal.aborted).toBe(false);
    client.abort();
    expect(signal.aborted).toBe(true);
    expect(deadlines.within(60_000, client.signal).aborted).toBe(true);
    expect(other.aborted).toBe(false);
    deadlines.stop();
  });

  test("stop aborts all signals and every later one", () => {
    const deadlines = new RequestDeadlines();
    const signals = [deadlines.within(60_000, neverAborted()), deadlines.within(60_000, neverAborted())];
    deadlines.stop();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect(deadlines.within(60_000, neverAborted()).aborted).toBe(true);
  });

  test("stopUnbounded aborts only the signals without a deadline", () => {
    const deadlines = new RequestDeadlines();
    const [unbounded, timed] = [deadlines.untilStop(neverAborted()), deadlines.within(60_000, neverAborted())];
    deadlines.stopUnbounded();
    expect([unbounded.aborted, timed.aborted, deadlines.untilStop(neverAborted()).aborted]).toEqual([true, false, true]);
    deadlines.stop();
    expect(timed.aborted).toBe(true);
  });

  test("an aborted signal is removed from the registry", async () => {
    const deadlines = new RequestDeadlines();
    await aborted(deadlines.within(1, neverAborted()));
    expect((deadlines as unknown as { timed: { controllers: Set<unknown> } }).timed.controllers.size).toBe(0);
  });
});
