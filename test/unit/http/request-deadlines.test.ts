import { RequestDeadlines } from "../../../lib/http/request-deadlines";
import { settlesBefore } from "../../../lib/support/settles-before";

const FOREVER = new Promise<never>(() => {});
const never = () => new AbortController().signal;

/** Resolves when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

describe("settlesBefore", () => {
  test("a promise that is fulfilled or rejected before the abort has settled", async () => {
    expect(await settlesBefore(Promise.resolve(1), never())).toBe(true);
    expect(await settlesBefore(Promise.reject(new Error("x")), never())).toBe(true);
  });

  test("a pending promise has not settled, whether the abort comes later or came before", async () => {
    const enough = new AbortController();
    const waiting = settlesBefore(FOREVER, enough.signal);
    enough.abort();
    expect(await waiting).toBe(false);
    expect(await settlesBefore(FOREVER, AbortSignal.abort())).toBe(false);
    expect(await settlesBefore(Promise.resolve(1), AbortSignal.abort())).toBe(false);
  });

  test("a rejection after the abort is not reported as unhandled", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    let fail: (reason: Error) => void = () => {};
    const late = new Promise((_, reject) => {
      fail = reject;
    });
    expect(await settlesBefore(late, AbortSignal.abort())).toBe(false);
    fail(new Error("too late"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });

  test("no listener stays on a longer-lived signal", async () => {
    const signal = never();
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
    const signal = new RequestDeadlines().within(1, never());
    await aborted(signal);
    expect(signal.aborted).toBe(true);
  });

  test("a signal aborts when its client disconnects, before or after its creation, and no other signal does", () => {
    const waits = new RequestDeadlines();
    const client = new AbortController();
    const wait = waits.within(60_000, client.signal);
    const other = waits.within(60_000, never());
    expect(wait.aborted).toBe(false);
    client.abort();
    expect(wait.aborted).toBe(true);
    expect(waits.within(60_000, client.signal).aborted).toBe(true);
    expect(other.aborted).toBe(false);
    waits.stop();
  });

  test("stop aborts all signals and every later one", () => {
    const waits = new RequestDeadlines();
    const under = [waits.within(60_000, never()), waits.within(60_000, never())];
    waits.stop();
    expect(under.map((each) => each.aborted)).toEqual([true, true]);
    expect(waits.within(60_000, never()).aborted).toBe(true);
  });

  test("stopUnbounded aborts only the signals without a deadline", () => {
    const waits = new RequestDeadlines();
    const [endless, timed] = [waits.untilStop(never()), waits.within(60_000, never())];
    waits.stopUnbounded();
    expect([endless.aborted, timed.aborted, waits.untilStop(never()).aborted]).toEqual([true, false, true]);
    waits.stop();
    expect(timed.aborted).toBe(true);
  });

  test("an aborted signal is removed from the registry", async () => {
    const waits = new RequestDeadlines();
    await aborted(waits.within(1, never()));
    expect((waits as unknown as { timed: { controllers: Set<unknown> } }).timed.controllers.size).toBe(0);
  });
});
