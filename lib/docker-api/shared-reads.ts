/**
 * Equal reads that come while one is under way share the next one: each result was read after it was asked for, and of many clients at
 * a time at most two reads are under way or waiting.
 */
export class SharedReads<T> {
  private readonly current = new Map<string, Promise<T>>();
  private readonly next = new Map<string, Promise<T>>();

  /**
   * @param key the same for reads that have the same result
   * @param work reads
   */
  read(key: string, work: () => Promise<T>): Promise<T> {
    const current = this.current.get(key);
    if (!current) return this.start(key, work);
    const next = this.next.get(key);
    if (next) return next;
    const startNext = () => {
      this.next.delete(key);
      return this.start(key, work);
    };
    const started = current.then(startNext, startNext);
    this.next.set(key, started);
    return started;
  }

  private start(key: string, work: () => Promise<T>): Promise<T> {
    const result = work();
    const settle = () => {
      if (this.current.get(key) === result) this.current.delete(key);
    };
    this.current.set(key, result);
    result.then(settle, settle);
    return result;
  }
}
