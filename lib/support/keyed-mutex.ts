/** Runs the tasks of one key one after the other; tasks of different keys run at the same time. */
export class KeyedMutex {
  private readonly lastTasks = new Map<string, Promise<unknown>>();

  /** Runs a task once all earlier tasks of its key have settled; returns its result. */
  runExclusive<T>(key: string, task: () => Promise<T>): Promise<T> {
    const previous = this.lastTasks.get(key) ?? Promise.resolve();
    const current = previous.then(task, task);
    this.lastTasks.set(key, current);
    const release = () => {
      if (this.lastTasks.get(key) === current) this.lastTasks.delete(key);
    };
    current.then(release, release);
    return current;
  }

  /** Whether a task of this key is running or waiting. */
  isBusy(key: string): boolean {
    return this.lastTasks.has(key);
  }

  /** Resolves when all tasks that are running or waiting now have settled. */
  async whenIdle(): Promise<void> {
    await Promise.allSettled(this.lastTasks.values());
  }
}
