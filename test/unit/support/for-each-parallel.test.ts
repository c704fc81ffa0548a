import { forEachParallel } from "../../../lib/support/for-each-parallel";

test("each item is worked on once, a limited number at a time", async () => {
  const done: number[] = [];
  let running = 0;
  let most = 0;
  await forEachParallel([1, 2, 3, 4, 5], 2, async (item) => {
    running += 1;
    most = Math.max(most, running);
    await new Promise(setImmediate);
    running -= 1;
    done.push(item);
  });
  expect([done, most]).toEqual([[1, 2, 3, 4, 5], 2]);
});

test("after a failure no further item is begun", async () => {
  const begun: number[] = [];
  const work = async (item: number) => {
    begun.push(item);
    await new Promise(setImmediate);
    throw new Error(`of ${item}`);
  };
  await expect(forEachParallel([1, 2, 3, 4], 2, work)).rejects.toThrow("of 1");
  expect(begun).toEqual([1, 2]);
});
