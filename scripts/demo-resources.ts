import { lastNote } from "./demo-terminal";

/** What giving back resolves to where nothing was the demo's own. */
export const KEPT = Symbol("kept");

/** Whatever the demo takes, it gives back at the end, the last taken first. */
export class Belongings {
  private readonly taken: { what: string; giveBack(): Promise<unknown> }[] = [];
  private end: Promise<boolean> | undefined;

  /**
   * Takes a thing. It is given back also if the end comes while it is still on its way.
   * @param what it is, for messages
   * @param get makes the thing
   */
  async take<T>(what: string, get: () => Promise<T> | T, giveBack: (thing: T) => Promise<unknown>): Promise<T> {
    if (this.end) throw new Error("the demo is ending");
    const thing = Promise.resolve(get());
    const onItsWay = thing.then(
      (had) => () => giveBack(had),
      () => async () => KEPT,
    );
    this.taken.push({ what, giveBack: async () => (await onItsWay)() });
    return thing;
  }

  /** Gives everything back, once however often it is called. Resolves to false if something could not be. */
  giveBackAll(): Promise<boolean> {
    this.end ??= this.giveBackEach();
    return this.end;
  }

  private async giveBackEach(): Promise<boolean> {
    let complete = true;
    for (const { what, giveBack } of this.taken.reverse()) {
      try {
        if ((await giveBack()) !== KEPT) lastNote(`${what}: gone`);
      } catch (error) {
        complete = false;
        lastNote(`${what}: STILL THERE: ${(error as Error).message}`);
      }
    }
    return complete;
  }
}
