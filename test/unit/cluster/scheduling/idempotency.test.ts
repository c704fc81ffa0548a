import { type Found, wasStarted } from "../../../../lib/cluster/pool";
import { hashKey, KEY_LABEL, once } from "../../../../lib/cluster/scheduling/idempotency";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { foundOf, NEEDS } from "../../../support/unit/cluster-parts";

// Only the clock: the pauses between two looks are real, and short.
beforeEach(() => jest.useFakeTimers({ doNotFake: ["setTimeout", "setImmediate", "nextTick", "queueMicrotask"] }));
afterEach(() => jest.useRealTimers());

const KEY = "order 1";
const plan = { name: "web", body: {}, needs: NEEDS };
const taken = () => new AppError("NAME_TAKEN");
const made = new Reply(200, { id: "made" });
const ours = (fields: Partial<Found> = {}) => foundOf({ labels: { [KEY_LABEL]: hashKey(KEY) }, ...fields });
const theirs = foundOf({ labels: { [KEY_LABEL]: hashKey("another order") } });

/** Runs whose name is taken until `runs` of them were tried. */
function takenFor(tries: number) {
  return jest.fn(async () => {
    if (run.mock.calls.length <= tries) throw taken();
    return made;
  });
}
let run = takenFor(0);
const holders = (...all: Found[]) => jest.fn(async (_name: string) => all.map((found) => ({ node: "n2", found })));

/** What becomes of it. */
function outcome(find: (name: string) => Promise<{ node: string; found: Found }[]>) {
  return once(plan, KEY, find, run).catch((error: Error) => error);
}

test("a run that nothing stands in the way of is run once, and nobody is asked", async () => {
  run = takenFor(0);
  const find = holders();
  expect(await outcome(find)).toBe(made);
  expect(run).toHaveBeenCalledTimes(1);
  expect(find).not.toHaveBeenCalled();
});

test("a run without a key is tried once, whoever has its name", async () => {
  run = takenFor(9);
  const find = holders(ours());
  const answer = await once(plan, undefined, find, run).catch((error: AppError) => error);
  expect(answer).toMatchObject({ code: "NAME_TAKEN" });
  expect(run).toHaveBeenCalledTimes(1);
  expect(find).not.toHaveBeenCalled();
});

test.each(["running", "exited", "paused"])("what the same key has made before and is %s is the answer, with where it is", async (state) => {
  run = takenFor(9);
  const find = holders(theirs, ours({ id: "before", state }));
  expect(await outcome(find)).toMatchObject({
    status: 200,
    body: { id: "before", name: "web", status: state, host: "n2", repeated: true },
  });
  expect(find).toHaveBeenCalledWith("web");
  expect(run).toHaveBeenCalledTimes(1);
});

test("another node's answer that the name is taken counts like an own one", async () => {
  run = jest.fn(async () => new Reply(409, null, { "x-error-code": "NAME_TAKEN" }));
  expect(await outcome(holders(ours({ id: "before" })))).toMatchObject({ status: 200, body: { id: "before", repeated: true } });
});

test("a name that another key, or nobody's key, has is taken, at once", async () => {
  for (const other of [theirs, foundOf()]) {
    run = takenFor(9);
    expect(await outcome(holders(other))).toMatchObject({ code: "NAME_TAKEN" });
    expect(run).toHaveBeenCalledTimes(1);
  }
  const refusal = new Reply(409, null, { "x-error-code": "NAME_TAKEN" });
  run = jest.fn(async () => refusal);
  expect(await outcome(holders(theirs))).toBe(refusal);
});

test.each(["created", "removing", "dead"])(
  "what the same key is just making, being %s, is waited for and then is the answer",
  async (state) => {
    run = takenFor(99);
    const find = holders(ours({ id: "at last" })).mockResolvedValueOnce([{ node: "n2", found: ours({ state }) }]);
    expect(await outcome(find)).toMatchObject({ status: 200, body: { id: "at last", repeated: true } });
  },
);

test("if what the same key was making is gone again, this one runs", async () => {
  run = takenFor(3);
  expect(await outcome(holders())).toBe(made);
  expect(run).toHaveBeenCalledTimes(4);
});

test("a request of the same key that does not end is not waited for without end, nor are nodes that can't be asked", async () => {
  const failing = () => Promise.reject(new AppError("NODES_MISSING"));
  for (const find of [holders(ours({ state: "created" })), failing]) {
    run = jest.fn(async () => {
      jest.advanceTimersByTime(4000);
      throw taken();
    });
    expect(await outcome(find)).toMatchObject({ code: "NAME_TAKEN" });
    expect(run).toHaveBeenCalledTimes(3);
  }
});

test("a failure of any other kind is passed on at once", async () => {
  for (const error of [new AppError("IMAGE_NOT_FOUND"), new TypeError("a bug")]) {
    run = jest.fn(() => Promise.reject(error));
    expect(await outcome(holders(ours()))).toBe(error);
    expect(run).toHaveBeenCalledTimes(1);
  }
});

test("a refusal of any other kind is the answer", async () => {
  const refusal = new Reply(404, null, { "x-error-code": "IMAGE_NOT_FOUND" });
  run = jest.fn(async () => refusal);
  expect(await outcome(holders(ours()))).toBe(refusal);
});

test.each(["PORT_TAKEN", "NO_NODE"] as const)(
  "%s is passed on at once, unless it is the same key's own that takes the place",
  async (code) => {
    const error = new AppError(code);
    run = jest.fn(() => Promise.reject(error));
    for (const find of [holders(), holders(theirs)]) expect(await outcome(find)).toBe(error);
    expect(run).toHaveBeenCalledTimes(2);
    expect(await outcome(holders(ours({ id: "before" })))).toMatchObject({ status: 200, body: { id: "before", repeated: true } });
  },
);

test("a key becomes a label of one form, whatever is in it, and different keys different labels", () => {
  const labels = ["", "a", "b", "ключ", "x".repeat(10_000), "a=b\n"].map(hashKey);
  for (const label of labels) expect(label).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(labels).size).toBe(labels.length);
});

test("a container that has ended was started; one that is only created, or on its way out, counts for nothing", () => {
  const states = ["created", "running", "paused", "restarting", "exited", "removing", "dead"];
  expect(states.filter((state) => wasStarted(foundOf({ state })))).toEqual(["running", "paused", "restarting", "exited"]);
});
