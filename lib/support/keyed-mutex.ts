/** One after the other, what is done to the same thing. */
export class KeyedMutex {
  private readonly last = new Map<string, Promise<unknown>>();

  /** Does the work when all that was to be done before to this key is over. */
  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.last.set(key, mine);
    const leave = () => {
      if (this.last.get(key) === mine) this.last.delete(key);
    };
    mine.then(leave, leave);
    return mine;
  }

  /** Whether anything is being done to it. */
  busy(key: string): boolean {
    return this.last.has(key);
  }

  /** Resolves when nothing is under way of what there is now. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.last.values());
  }
}
