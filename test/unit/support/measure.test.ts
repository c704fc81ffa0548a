import { currentTrace, measure, RequestTrace, withTrace } from "../../../lib/support/measure";

/** Work that ends when `finish` is called. */
function controlledWork() {
  let finish = () => {};
  const ended = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return { work: () => ended, finish };
}

describe("RequestTrace", () => {
  beforeEach(() => jest.spyOn(performance, "now").mockReturnValue(0));
  afterEach(() => jest.restoreAllMocks());
  const at = (ms: number) => jest.spyOn(performance, "now").mockReturnValue(ms);

  test("counts pieces of work at the same time once, and pieces after each other together", () => {
    const trace = new RequestTrace();
    const [first, second] = [trace.begin("engine"), trace.begin("engine")];
    at(10);
    first();
    at(30);
    second();
    at(100);
    const third = trace.begin("engine");
    at(105);
    third();
    expect(trace.timings()).toEqual({ engine_ms: 35 });
  });

  test("counts what still goes on up to now, each kind by itself", () => {
    const trace = new RequestTrace();
    trace.begin("peer");
    at(5);
    trace.begin("queue");
    at(12);
    expect(trace.timings()).toEqual({ peer_ms: 12, queue_ms: 7 });
  });
});

describe("measure", () => {
  test("notes the work of a request in its own trace only", async () => {
    const [trace, other] = [new RequestTrace(), new RequestTrace()];
    const { work, finish } = controlledWork();
    const measured = withTrace(trace, async () => {
      await Promise.resolve();
      expect(currentTrace()).toBe(trace);
      await measure("engine", "call", work);
    });
    await withTrace(other, async () => Promise.resolve());
    finish();
    await measured;
    expect(Object.keys(trace.timings())).toEqual(["engine_ms"]);
    expect(other.timings()).toEqual({});
  });

  test("passes results and errors on, also outside of a request", async () => {
    expect(await measure("pull", "", async () => 7)).toBe(7);
    await expect(measure("pull", "", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});
