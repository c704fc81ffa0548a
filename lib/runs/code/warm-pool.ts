import { isNotFound } from "../../errors";
import type { Logger } from "../../support/logger";
import { Demand } from "./demand";
import type { Sandbox, SandboxImage } from "./sandbox";

/** A sandbox that has waited for so long (ms) makes room for a fresh one: its label's time must not come while it waits. */
export const WARM_LIFE = 600_000;
/** The last one of an image goes when nobody has run the image for so long (ms). */
const FORGOTTEN_AFTER = 300_000;
/** How often (ms) it is looked after. */
const ROUND = 5000;
/** So many are made at a time: runs that are under way need the engine, too. */
const MAKING = 2;
/** After a run's end so long (ms) passes before another sandbox is made: of runs that came together the others need the processors first. */
const REFILL_AFTER = 100;
/** After a sandbox of an image could not be made, or ended by itself while it waited, none is made for so long (ms). */
const PAUSE = 10_000;

export interface PoolSettings {
  /** bytes that all which wait may take */
  run_pool_memory: number;
  run_memory: number;
  run_concurrency: number;
}

interface Shelf {
  image: SandboxImage;
  demand: Demand;
  waiting: Sandbox[];
  making: number;
  /** who takes the next that is made */
  takers: ((made: Sandbox | undefined) => void)[];
  pausedUntil: number;
}

/** Sandboxes that have started and wait for a payload, for images that are in use. Each serves one run. */
export class WarmPool {
  private readonly shelves = new Map<string, Shelf>();
  private readonly under = new Set<Promise<void>>();
  private readonly capacity: number;
  private timer: NodeJS.Timeout | undefined;
  private readonly closing = new AbortController();

  /** @param open makes one */
  constructor(
    private readonly open: (image: SandboxImage, ended: AbortSignal) => Promise<Sandbox>,
    private readonly settings: PoolSettings,
    private readonly log: Logger,
  ) {
    this.capacity = Math.floor(settings.run_pool_memory / Math.max(1, settings.run_memory));
  }

  /** How many wait. */
  get size(): number {
    return [...this.shelves.values()].reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  /** Counts a run of an image. To be called at its end: what it returns. */
  begin(image: SandboxImage): () => void {
    if (this.capacity === 0 || this.closing.signal.aborted) return () => undefined;
    this.timer ??= setInterval(() => this.tend(), ROUND).unref();
    const shelf = this.shelves.get(image.id) ?? { image, demand: new Demand(), waiting: [], making: 0, takers: [], pausedUntil: 0 };
    this.shelves.set(image.id, shelf);
    const end = shelf.demand.begin();
    return () => {
      end();
      setTimeout(() => this.tend(), REFILL_AFTER).unref();
    };
  }

  /** A sandbox that waits, or the next that will; undefined if there is none: then it takes no longer to make one. */
  async take(image: SandboxImage): Promise<Sandbox | undefined> {
    const shelf = this.shelves.get(image.id);
    if (!shelf) return undefined;
    // The oldest first, so that none grows too old.
    for (let found = shelf.waiting.shift(); found; found = shelf.waiting.shift()) {
      if (found.waits) return found;
      this.remove(found);
    }
    if (shelf.making <= shelf.takers.length) return undefined;
    return new Promise((resolve) => shelf.takers.push(resolve));
  }

  /** Removes all that wait, and makes no more. */
  async close(): Promise<void> {
    this.closing.abort();
    clearInterval(this.timer);
    for (const shelf of this.shelves.values()) for (const each of shelf.waiting.splice(0)) this.remove(each);
    await Promise.all(this.under);
  }

  private tend(): void {
    if (this.closing.signal.aborted) return;
    for (const shelf of this.shelves.values()) {
      const wanted = this.wanted(shelf);
      const old = shelf.waiting.filter((each) => !each.waits || performance.now() - each.startedAt > WARM_LIFE);
      const surplus = shelf.waiting.filter((each) => !old.includes(each)).slice(wanted);
      for (const each of [...old, ...surplus]) this.retire(shelf, each);
      if (wanted === 0 && shelf.waiting.length + shelf.making === 0) this.shelves.delete(shelf.image.id);
      while (this.lacks(shelf, wanted) && this.makeRoom(shelf)) this.track(this.make(shelf));
    }
  }

  private wanted({ demand }: Shelf): number {
    const wanted = demand.idle < FORGOTTEN_AFTER ? Math.max(1, demand.recent) : 0;
    return Math.min(wanted, this.settings.run_concurrency, this.capacity);
  }

  private lacks(shelf: Shelf, wanted: number): boolean {
    const making = [...this.shelves.values()].reduce((sum, each) => sum + each.making, 0);
    return making < MAKING && shelf.waiting.length + shelf.making < wanted && performance.now() > shelf.pausedUntil;
  }

  /** Who has more gives way, so that images in use share what there is; the last one of an image only to another's first, if it was used longer ago. */
  private makeRoom(shelf: Shelf): boolean {
    const all = [...this.shelves.values()];
    const held = ({ waiting, making }: Shelf) => waiting.length + making;
    if (all.reduce((sum, each) => sum + held(each), 0) < this.capacity) return true;
    const mine = held(shelf);
    const others = all.filter((each) => each !== shelf && each.waiting.length > 0);
    const yields = (each: Shelf) => held(each) > mine + 1 || (mine === 0 && each.demand.idle > shelf.demand.idle);
    const [longest] = others.filter(yields).sort((a, b) => b.demand.idle - a.demand.idle);
    if (!longest) return false;
    this.retire(longest, longest.waiting[0] as Sandbox);
    return true;
  }

  private async make(shelf: Shelf): Promise<void> {
    shelf.making += 1;
    let made: Sandbox | undefined;
    try {
      made = await this.open(shelf.image, this.closing.signal);
    } catch (error) {
      shelf.pausedUntil = performance.now() + PAUSE;
      const gone = isNotFound(error);
      if (!gone && !this.closing.signal.aborted) this.log.warn("no sandbox can be kept warm", { reason: (error as Error).message });
    }
    shelf.making -= 1;
    const taker = shelf.takers.shift();
    if (taker) taker(made);
    else if (made && this.closing.signal.aborted) this.remove(made);
    else if (made) this.put(shelf, made);
    this.tend();
  }

  private put(shelf: Shelf, made: Sandbox): void {
    shelf.waiting.push(made);
    void made.end.then(() => {
      // An image whose program doesn't wait for its input can't be kept warm.
      if (!shelf.waiting.includes(made)) return;
      shelf.pausedUntil = performance.now() + PAUSE;
      this.retire(shelf, made);
    });
  }

  private retire(shelf: Shelf, sandbox: Sandbox): void {
    shelf.waiting = shelf.waiting.filter((each) => each !== sandbox);
    this.remove(sandbox);
  }

  private remove(sandbox: Sandbox): void {
    this.track(sandbox.close());
  }

  private track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.under.delete(tracked));
    this.under.add(tracked);
  }
}
