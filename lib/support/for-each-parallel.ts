/**
 * Does some work for each item, for a limited number of them at a time.
 * @param limit items at a time
 * @param work if it fails for one, no further item is begun
 * @throws what `work` throws first
 */
export async function forEachParallel<T>(items: Iterable<T>, limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await work(next);
  };
  const stop = (error: unknown) => {
    waiting.length = 0;
    throw error;
  };
  await Promise.all(Array.from({ length: limit }, () => worker().catch(stop)));
}
