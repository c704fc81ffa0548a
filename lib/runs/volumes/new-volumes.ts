import type { Reaper } from "../reaper";

/** A volume name that requests hold. */
interface HeldVolume {
  holders: number;
  isKept: boolean;
  isDiscarded: boolean;
}

/** A request's hold on the volumes that it may create. */
export interface VolumeHold {
  /** The request succeeded: its client knows the volumes, so they must stay. */
  keep(): void;
  /** The request failed, and has created these volumes or may have. */
  discard(names: readonly string[]): void;
  /** Must be called at the request's end; removes discarded volumes that no other request keeps. */
  release(): Promise<void>;
}

/**
 * Tracks volumes that running requests may create. Several requests can create the same volume: if one fails, the volume is removed
 * only if no other has succeeded.
 */
export class NewVolumes {
  private readonly held = new Map<string, HeldVolume>();
  private readonly removals = new Map<string, Promise<void>>();

  constructor(private readonly reaper: Pick<Reaper, "removeUnusedVolume">) {}

  /** Must be called before checking whether the volumes exist; waits for removals of the same volumes. */
  async hold(names: readonly string[]): Promise<VolumeHold> {
    const own = new Map(await Promise.all([...new Set(names)].map(async (name) => [name, await this.acquire(name)] as const)));
    return {
      keep() {
        for (const volume of own.values()) volume.isKept = true;
      },
      discard(discarded) {
        for (const [name, volume] of own) volume.isDiscarded ||= discarded.includes(name);
      },
      release: async () => void (await Promise.all([...own].map(([name, volume]) => this.release(name, volume)))),
    };
  }

  private async acquire(name: string): Promise<HeldVolume> {
    for (let removal = this.removals.get(name); removal; removal = this.removals.get(name)) await removal.catch(() => undefined);
    const volume = this.held.get(name) ?? { holders: 0, isKept: false, isDiscarded: false };
    volume.holders += 1;
    this.held.set(name, volume);
    return volume;
  }

  private async release(name: string, volume: HeldVolume): Promise<void> {
    volume.holders -= 1;
    if (volume.holders > 0) return;
    this.held.delete(name);
    if (volume.isDiscarded && !volume.isKept) await this.reaper.removeUnusedVolume(name, (remove) => this.removeUnlessHeld(name, remove));
  }

  /** The reaper retries while the engine is unavailable; a new request may hold the volume by then. */
  private async removeUnlessHeld(name: string, remove: () => Promise<void>): Promise<void> {
    if (this.held.has(name)) return;
    const removal = remove().finally(() => this.removals.delete(name));
    this.removals.set(name, removal);
    await removal;
  }
}
