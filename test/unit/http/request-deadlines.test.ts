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

describe("settles", () => {
  test("a promise that is fulfilled or rejected in time has settled", async () => {
    expect(await settlesBefore(Promise.resolve(1), never())).toBe(true);
    expect(await settlesBefore(Promise.reject(new Error("x")), never())).toBe(true);
  });

  test("one that isn't has not, whether the abort comes later or came before", async () => {
    const enough = new AbortController();
    const waiting = settlesBefore(FOREVER, enough.signal);
    enough.abort();
    expect(await waiting).toBe(false);
    expect(await settlesBefore(FOREVER, AbortSignal.abort())).toBe(false);
    expect(await settlesBefore(Promise.resolve(1), AbortSignal.abort())).toBe(false);
  });

  test("a rejection after the abort is nobody's unhandled rejection", async () => {
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

  test("it leaves no listener on a signal that outlives it", async () => {
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

describe("a wait", () => {
  test("ends after its time", async () => {
    const signal = new RequestDeadlines().within(1, never());
    await aborted(signal);
    expect(signal.aborted).toBe(true);
  });

  test("ends when its client goes, or if it has gone, and no other ends with it", () => {
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

  test("ends with all others when the server stops, as do those to come", () => {
    const waits = new RequestDeadlines();
    const under = [waits.within(60_000, never()), waits.within(60_000, never())];
    waits.stop();
    expect(under.map((each) => each.aborted)).toEqual([true, true]);
    expect(waits.within(60_000, never()).aborted).toBe(true);
  });

  test("without an end of its own ends first at a stop, while what has its time goes on", () => {
    const waits = new RequestDeadlines();
    const [endless, timed] = [waits.untilStop(never()), waits.within(60_000, never())];
    waits.stopUnbounded();
    expect([endless.aborted, timed.aborted, waits.untilStop(never()).aborted]).toEqual([true, false, true]);
    waits.stop();
    expect(timed.aborted).toBe(true);
  });

  test("that is over is remembered by nobody", async () => {
    const waits = new RequestDeadlines();
    await aborted(waits.within(1, never()));
    expect((waits as unknown as { timed: { controllers: Set<unknown> } }).timed.controllers.size).toBe(0);
  });
});
