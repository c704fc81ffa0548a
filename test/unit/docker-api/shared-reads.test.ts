import { SharedReads } from "../../../lib/docker-api/shared-reads";

/** Reads that end when the test says so, with the number of the read. */
function manualReads() {
  const ends: { resolve(): void; reject(error: Error): void }[] = [];
  const work = () =>
    new Promise<number>((resolve, reject) => {
      const number = ends.length + 1;
      ends.push({ resolve: () => resolve(number), reject });
    });
  return { work, ends };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("equal reads", () => {
  test("that come while one is under way share the next, which begins when that one has ended", async () => {
    const reads = new SharedReads<number>();
    const { work, ends } = manualReads();
    const first = reads.read("a", work);
    const later = [reads.read("a", work), reads.read("a", work)];
    await turn();
    expect(ends.length).toBe(1);
    ends[0]?.resolve();
    expect(await first).toBe(1);
    await turn();
    const latest = reads.read("a", work);
    expect(ends.length).toBe(2);
    ends[1]?.resolve();
    expect(await Promise.all(later)).toEqual([2, 2]);
    await turn();
    ends[2]?.resolve();
    expect(await latest).toBe(3);
    await turn();
    const alone = reads.read("a", work);
    ends[3]?.resolve();
    expect(await alone).toBe(4);
  });

  test("go on after one that fails, whose error only its own clients get", async () => {
    const reads = new SharedReads<number>();
    const { work, ends } = manualReads();
    const first = reads.read("a", work);
    const second = reads.read("a", work);
    ends[0]?.reject(new Error("no answer"));
    await expect(first).rejects.toThrow("no answer");
    await turn();
    ends[1]?.resolve();
    expect(await second).toBe(2);
  });

  test("of different things don't wait for each other", async () => {
    const reads = new SharedReads<number>();
    const { work, ends } = manualReads();
    void reads.read("a", work);
    const other = reads.read("b", work);
    ends[1]?.resolve();
    expect(await other).toBe(2);
  });
});
