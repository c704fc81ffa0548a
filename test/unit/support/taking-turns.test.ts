import { takingTurns } from "../../../lib/support/taking-turns";

/** Items that are always there at once, until other work of the process has run, or `limit` have been taken. */
async function* endless(otherWorkHasRun: () => boolean, limit: number): AsyncGenerator<number> {
  for (let count = 0; count < limit && !otherWorkHasRun(); count += 1) yield count;
}

test("items that never end don't keep other work of the process from running", async () => {
  let hasRun = false;
  setTimeout(() => {
    hasRun = true;
  });
  let taken = 0;
  for await (const _ of takingTurns(endless(() => hasRun, 5_000_000))) taken += 1;
  expect([hasRun, taken < 5_000_000]).toEqual([true, true]);
});

test("leaving the loop closes the source", async () => {
  let closed = false;
  async function* source() {
    try {
      yield 1;
      yield 2;
    } finally {
      closed = true;
    }
  }
  for await (const _ of takingTurns(source())) break;
  expect(closed).toBe(true);
});
