import type { Reaper } from "../reaper";

interface Share {
  holders: number;
  given: boolean;
  unmade: boolean;
}

/** A request's hold on the volumes that it may make. */
export interface VolumeHold {
  /** Its client is told of them. */
  keep(): void;
  /** It has failed: those of these names were made for nothing. */
  discard(names: readonly string[]): void;
  /** To be called at its end in any case. */
  release(): Promise<void>;
}

/**
 * Volumes that requests under way may make. Several may make the same one at once: when one of them fails, it goes again only if
 * none of the others has been given it.
 */
export class NewVolumes {
  private readonly shares = new Map<string, Share>();
  private readonly removals = new Map<string, Promise<void>>();

  constructor(private readonly leftovers: Pick<Reaper, "unused">) {}

  /** To be called before it is looked whether they are there. */
  async hold(names: readonly string[]): Promise<VolumeHold> {
    const held = new Map(await Promise.all([...new Set(names)].map(async (name) => [name, await this.share(name)] as const)));
    return {
      keep() {
        for (const share of held.values()) share.given = true;
      },
      discard(made) {
        for (const [name, share] of held) share.unmade ||= made.includes(name);
      },
      release: async () => void (await Promise.all([...held].map(([name, share]) => this.leave(name, share)))),
    };
  }

  private async share(name: string): Promise<Share> {
    for (let going = this.removals.get(name); going; going = this.removals.get(name)) await going.catch(() => undefined);
    const share = this.shares.get(name) ?? { holders: 0, given: false, unmade: false };
    share.holders += 1;
    this.shares.set(name, share);
    return share;
  }

  private async leave(name: string, share: Share): Promise<void> {
    share.holders -= 1;
    if (share.holders > 0) return;
    this.shares.delete(name);
    if (share.unmade && !share.given) await this.leftovers.removeUnusedVolume(name, (remove) => this.unlessHeld(name, remove));
  }

  // While the engine is gone this is tried again for long, and somebody may have come for the volume since.
  private async unlessHeld(name: string, remove: () => Promise<void>): Promise<void> {
    if (this.shares.has(name)) return;
    const going = remove().finally(() => this.removals.delete(name));
    this.removals.set(name, going);
    await going;
  }
}
