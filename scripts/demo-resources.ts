import { cleanupNote } from "./demo-terminal";

/** A release resolves to it if the demo had nothing to release, for instance because it used a running engine. */
export const NOT_OURS = Symbol("not ours");

/** The resources of the demo. They are released at its end, in reverse order. */
export class Resources {
  private readonly acquired: { label: string; release(): Promise<unknown> }[] = [];
  private end: Promise<boolean> | undefined;

  /**
   * Acquires a resource. It is released even if the demo ends while `create` is still pending.
   * @param label its name in messages
   * @param create creates the resource
   * @param release releases it; resolves to `NOT_OURS` if there was nothing to release
   */
  async acquire<T>(label: string, create: () => Promise<T> | T, release: (resource: T) => Promise<unknown>): Promise<T> {
    if (this.end) throw new Error("the demo is ending");
    const resource = Promise.resolve(create());
    const pending = resource.then(
      (created) => () => release(created),
      () => async () => NOT_OURS,
    );
    this.acquired.push({ label, release: async () => (await pending)() });
    return resource;
  }

  /** Releases everything, only once however often it is called. Resolves to false if a release failed. */
  releaseAll(): Promise<boolean> {
    this.end ??= this.releaseEach();
    return this.end;
  }

  private async releaseEach(): Promise<boolean> {
    let complete = true;
    for (const { label, release } of this.acquired.reverse()) {
      try {
        if ((await release()) !== NOT_OURS) cleanupNote(`${label}: removed`);
      } catch (error) {
        complete = false;
        cleanupNote(`${label}: STILL THERE: ${(error as Error).message}`);
      }
    }
    return complete;
  }
}
