import { Semaphore } from "../../../lib/runs/semaphore";

describe("Semaphore", () => {
  const neverCancelled = new AbortController().signal;

  test("grants permits in order and skips a cancelled wait", async () => {
    const slots = new Semaphore(1, 60_000);
    const release = await slots.acquire(neverCancelled);
    const order: string[] = [];
    const cancelled = new AbortController();
    const first = slots.acquire(neverCancelled).then((releasePermit) => {
      order.push("first");
      return releasePermit;
    });
    const second = slots.acquire(cancelled.signal).catch((error) => order.push(error.code));
    const third = slots.acquire(neverCancelled).then((releasePermit) => {
      order.push("third");
      return releasePermit;
    });
    expect(slots.waiting).toBe(3);
    cancelled.abort();
    await second;
    expect(slots.waiting).toBe(2);
    release();
    release();
    (await first)();
    (await third)();
    expect(order).toEqual(["ABANDONED", "first", "third"]);
    expect(slots.waiting).toBe(0);
    (await slots.acquire(neverCancelled))();
  });

  test("a timed-out wait fails without losing a permit", async () => {
    const slots = new Semaphore(1, 20);
    const release = await slots.acquire(neverCancelled);
    await expect(slots.acquire(neverCancelled)).rejects.toMatchObject({ code: "NO_ROOM", status: 503 });
    release();
    (await slots.acquire(neverCancelled))();
  });
});
