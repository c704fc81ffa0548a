import { isNotFound } from "../../errors";
import type { Logger } from "../../support/logger";
import { Demand } from "./demand";
import type { Sandbox } from "./sandbox";
import type { SandboxImage } from "./sandbox-options";

/** A sandbox that has waited this long is replaced: its label must not expire while it waits. */
export const MAX_WARM_MS = 600_000;
/** The last sandbox of an image is removed after this time without a run. */
const IDLE_IMAGE_MS = 300_000;
const RECONCILE_INTERVAL_MS = 5000;
/** Sandboxes started at a time: current runs need the engine too. */
const MAX_STARTING = 2;
/** Between a run's end and the start of a replacement: other runs of the same burst need the processors first. */
const REFILL_DELAY_MS = 100;
/** No sandbox of an image is started for this long after one failed to start, exited while it waited, or gave way to a removal of the image. */
const PAUSE_MS = 10_000;

export interface PoolSettings {
  /** bytes for all waiting sandboxes together */
  run_pool_memory: number;
  run_memory: number;
  run_concurrency: number;
}

/** The sandboxes of one image. */
interface ImagePool {
  image: SandboxImage;
  demand: Demand;
  /** started, without a payload; oldest first */
  waiting: Sandbox[];
  /** number of sandboxes being started */
  starting: number;
  /** runs that get the next started sandboxes; undefined if the start failed */
  waiters: ((sandbox: Sandbox | undefined) => void)[];
  /** by performance.now() */
  pausedUntil: number;
}

/** Keeps started sandboxes for images that are in use. Each sandbox serves one run. */
export class WarmPool {
  private readonly pools = new Map<string, ImagePool>();
  private readonly pendingWork = new Set<Promise<void>>();
  /** number of waiting sandboxes that fit in the memory */
  private readonly capacity: number;
  private timer: NodeJS.Timeout | undefined;
  private readonly closing = new AbortController();

  constructor(
    private readonly startSandbox: (image: SandboxImage, cancelSignal: AbortSignal) => Promise<Sandbox>,
    private readonly settings: PoolSettings,
    private readonly log: Logger,
  ) {
    this.capacity = Math.floor(settings.run_pool_memory / Math.max(1, settings.run_memory));
  }

  /** Number of waiting sandboxes. */
  get size(): number {
    return [...this.pools.values()].reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  /**
   * Counts a run of an image.
   * @returns a function to be called at the run's end
   */
  beginRun(image: SandboxImage): () => void {
    if (this.capacity === 0 || this.closing.signal.aborted) return () => undefined;
    this.timer ??= setInterval(() => this.reconcile(), RECONCILE_INTERVAL_MS).unref();
    const pool = this.pools.get(image.id) ?? { image, demand: new Demand(), waiting: [], starting: 0, waiters: [], pausedUntil: 0 };
    this.pools.set(image.id, pool);
    const end = pool.demand.beginRun();
    return () => {
      end();
      setTimeout(() => this.reconcile(), REFILL_DELAY_MS).unref();
    };
  }

  /** A waiting sandbox, or the next that is being started; undefined if there is none: starting a new one takes no longer then. */
  async take(image: SandboxImage): Promise<Sandbox | undefined> {
    const pool = this.pools.get(image.id);
    if (!pool) return undefined;
    // The oldest first, so that few reach their maximum age.
    for (let sandbox = pool.waiting.shift(); sandbox; sandbox = pool.waiting.shift()) {
      if (sandbox.isWaiting) return sandbox;
      this.remove(sandbox);
    }
    if (pool.starting <= pool.waiters.length) return undefined;
    return new Promise((resolve) => pool.waiters.push(resolve));
  }

  /**
   * Removes the waiting sandboxes of an image, for its removal. For a moment no new ones are started.
   * @returns whether there were any
   */
  async release(imageId: string): Promise<boolean> {
    const pool = this.pools.get(imageId);
    const waiting = pool?.waiting.splice(0) ?? [];
    if (!pool || waiting.length === 0) return false;
    pool.pausedUntil = performance.now() + PAUSE_MS;
    await Promise.all(waiting.map((sandbox) => this.remove(sandbox)));
    return true;
  }

  /** Removes all waiting sandboxes and starts no more. */
  async close(): Promise<void> {
    this.closing.abort();
    clearInterval(this.timer);
    for (const pool of this.pools.values()) for (const sandbox of pool.waiting.splice(0)) this.remove(sandbox);
    // A start that ends now leaves a sandbox to remove.
    while (this.pendingWork.size > 0) await Promise.all(this.pendingWork);
  }

  /** Removes old and surplus sandboxes, and starts missing ones. */
  private reconcile(): void {
    if (this.closing.signal.aborted) return;
    for (const pool of this.pools.values()) {
      const target = this.targetSize(pool);
      const outdated = pool.waiting.filter(({ isWaiting, startedAt }) => !isWaiting || performance.now() - startedAt > MAX_WARM_MS);
      const surplus = pool.waiting.filter((sandbox) => !outdated.includes(sandbox)).slice(target);
      for (const sandbox of [...outdated, ...surplus]) this.retire(pool, sandbox);
      if (target === 0 && pool.waiting.length + pool.starting === 0) this.pools.delete(pool.image.id);
      while (this.isBelowTarget(pool, target) && this.makeRoom(pool)) this.track(this.add(pool));
    }
  }

  private targetSize({ demand }: ImagePool): number {
    const wanted = demand.idleMs < IDLE_IMAGE_MS ? Math.max(1, demand.recentPeak) : 0;
    return Math.min(wanted, this.settings.run_concurrency, this.capacity);
  }

  private isBelowTarget(pool: ImagePool, target: number): boolean {
    const starting = [...this.pools.values()].reduce((sum, each) => sum + each.starting, 0);
    return starting < MAX_STARTING && pool.waiting.length + pool.starting < target && performance.now() > pool.pausedUntil;
  }

  /**
   * Makes room for one more sandbox of an image, if necessary by removing one of an image that has at least two more, so that images
   * share the capacity. For an image's first sandbox, the last one of an image that was idle for longer is removed too.
   */
  private makeRoom(pool: ImagePool): boolean {
    const pools = [...this.pools.values()];
    const sizeOf = ({ waiting, starting }: ImagePool) => waiting.length + starting;
    if (pools.reduce((sum, each) => sum + sizeOf(each), 0) < this.capacity) return true;
    const size = sizeOf(pool);
    const others = pools.filter((each) => each !== pool && each.waiting.length > 0);
    const canShrink = (other: ImagePool) => sizeOf(other) > size + 1 || (size === 0 && other.demand.idleMs > pool.demand.idleMs);
    const [longestIdle] = others.filter(canShrink).sort((a, b) => b.demand.idleMs - a.demand.idleMs);
    if (!longestIdle) return false;
    this.retire(longestIdle, longestIdle.waiting[0] as Sandbox);
    return true;
  }

  private async add(pool: ImagePool): Promise<void> {
    pool.starting += 1;
    let sandbox: Sandbox | undefined;
    try {
      sandbox = await this.startSandbox(pool.image, this.closing.signal);
    } catch (error) {
      pool.pausedUntil = performance.now() + PAUSE_MS;
      // An image can be removed at any time.
      if (!isNotFound(error) && !this.closing.signal.aborted)
        this.log.warn("Warm sandbox not started", { image: pool.image.id, reason: (error as Error).message });
    }
    pool.starting -= 1;
    const waiter = pool.waiters.shift();
    if (waiter) waiter(sandbox);
    else if (sandbox && this.closing.signal.aborted) this.remove(sandbox);
    else if (sandbox) this.keepWaiting(pool, sandbox);
    this.reconcile();
  }

  private keepWaiting(pool: ImagePool, sandbox: Sandbox): void {
    pool.waiting.push(sandbox);
    void sandbox.ended.then(() => {
      if (!pool.waiting.includes(sandbox)) return;
      // It exited before a run took it: its program doesn't wait for input, so warm sandboxes of this image are of no use.
      pool.pausedUntil = performance.now() + PAUSE_MS;
      this.retire(pool, sandbox);
    });
  }

  private retire(pool: ImagePool, sandbox: Sandbox): void {
    pool.waiting = pool.waiting.filter((each) => each !== sandbox);
    this.remove(sandbox);
  }

  private remove(sandbox: Sandbox): Promise<void> {
    return this.track(sandbox.close());
  }

  /** `close` waits for tracked work. */
  private track(work: Promise<void>): Promise<void> {
    const tracked: Promise<void> = work.finally(() => this.pendingWork.delete(tracked));
    this.pendingWork.add(tracked);
    return tracked;
  }
}
