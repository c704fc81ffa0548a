import { type Found, wasStarted } from "../../../../lib/cluster/local-host";
import { hashKey, KEY_LABEL, runOnce } from "../../../../lib/cluster/scheduling/idempotency";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { foundOf, NEEDS } from "../../../support/unit/cluster-parts";

// Only the clock is fake: the pauses between two lookups are real and short.
beforeEach(() => jest.useFakeTimers({ doNotFake: ["setTimeout", "setImmediate", "nextTick", "queueMicrotask"] }));
afterEach(() => jest.useRealTimers());

const KEY = "order 1";
const plan = { name: "web", body: {}, needs: NEEDS };
const taken = () => new AppError("NAME_TAKEN");
const made = new Reply(200, { id: "made" });
const ours = (fields: Partial<Found> = {}) => foundOf({ labels: { [KEY_LABEL]: hashKey(KEY) }, ...fields });
const theirs = foundOf({ labels: { [KEY_LABEL]: hashKey("another order") } });

/** A run that fails with NAME_TAKEN until it has been tried more than `tries` times. */
function takenFor(tries: number) {
  return jest.fn(async () => {
    if (run.mock.calls.length <= tries) throw taken();
    return made;
  });
}
let run = takenFor(0);
const holders = (...all: Found[]) => jest.fn(async (_name: string) => all.map((found) => ({ node: "n2", found })));

/** The reply, or the error it rejects with. */
function outcome(find: (name: string) => Promise<{ node: string; found: Found }[]>) {
  return runOnce(plan, KEY, find, run).catch((error: Error) => error);
}

test("a run without a conflict runs once, and no node is asked", async () => {
  run = takenFor(0);
  const find = holders();
  expect(await outcome(find)).toBe(made);
  expect(run).toHaveBeenCalledTimes(1);
  expect(find).not.toHaveBeenCalled();
});

test("a run without a key is tried once, even if its name is taken", async () => {
  run = takenFor(9);
  const find = holders(ours());
  const answer = await runOnce(plan, undefined, find, run).catch((error: AppError) => error);
  expect(answer).toMatchObject({ code: "NAME_TAKEN" });
  expect(run).toHaveBeenCalledTimes(1);
  expect(find).not.toHaveBeenCalled();
});

test.each(["running", "exited", "paused"])(
  "an existing container of the same key that is %s is the reply, with its node",
  async (state) => {
    run = takenFor(9);
    const find = holders(theirs, ours({ id: "before", state }));
    expect(await outcome(find)).toMatchObject({
      status: 200,
      body: { id: "before", name: "web", status: state, host: "n2", repeated: true },
    });
    expect(find).toHaveBeenCalledWith("web");
    expect(run).toHaveBeenCalledTimes(1);
  },
);

test("another node's reply NAME_TAKEN counts like an error of this node", async () => {
  run = jest.fn(async () => new Reply(409, null, { "x-error-code": "NAME_TAKEN" }));
  expect(await outcome(holders(ours({ id: "before" })))).toMatchObject({ status: 200, body: { id: "before", repeated: true } });
});

test("a name held by another key, or without a key, is refused without waiting", async () => {
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
  "a container of the same key that is still %s is waited for and then is the reply",
  async (state) => {
    run = takenFor(99);
    const find = holders(ours({ id: "at last" })).mockResolvedValueOnce([{ node: "n2", found: ours({ state }) }]);
    expect(await outcome(find)).toMatchObject({ status: 200, body: { id: "at last", repeated: true } });
  },
);

test("if the container of the same key disappears, this run runs", async () => {
  run = takenFor(3);
  expect(await outcome(holders())).toBe(made);
  expect(run).toHaveBeenCalledTimes(4);
});

test("the wait for a request of the same key, or for nodes that don't answer, is limited", async () => {
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

test("any other error is passed on at once", async () => {
  for (const error of [new AppError("IMAGE_NOT_FOUND"), new TypeError("a bug")]) {
    run = jest.fn(() => Promise.reject(error));
    expect(await outcome(holders(ours()))).toBe(error);
    expect(run).toHaveBeenCalledTimes(1);
  }
});

test("any other error reply is the reply", async () => {
  const refusal = new Reply(404, null, { "x-error-code": "IMAGE_NOT_FOUND" });
  run = jest.fn(async () => refusal);
  expect(await outcome(holders(ours()))).toBe(refusal);
});

test.each(["PORT_TAKEN", "NO_NODE"] as const)("%s is passed on at once, unless a container of the same key causes it", async (code) => {
  const error = new AppError(code);
  run = jest.fn(() => Promise.reject(error));
  for (const find of [holders(), holders(theirs)]) expect(await outcome(find)).toBe(error);
  expect(run).toHaveBeenCalledTimes(2);
  expect(await outcome(holders(ours({ id: "before" })))).toMatchObject({ status: 200, body: { id: "before", repeated: true } });
});

test("any key becomes 32 hex digits, different for different keys", () => {
  const labels = ["", "a", "b", "ключ", "x".repeat(10_000), "a=b\n"].map(hashKey);
  for (const label of labels) expect(label).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(labels).size).toBe(labels.length);
});

test("a container that has exited was started; one that is created or being removed was not", () => {
  const states = ["created", "running", "paused", "restarting", "exited", "removing", "dead"];
  expect(states.filter((state) => wasStarted(foundOf({ state })))).toEqual(["running", "paused", "restarting", "exited"]);
});
