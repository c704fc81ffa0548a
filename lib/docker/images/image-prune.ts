import { text } from "node:stream/consumers";
import { AppError, isNotFound } from "../../errors";
import type { Logger } from "../../support/logger";
import { sweepPeriodically } from "../create/sweep-unstarted";
import type { Engine } from "../engine";
import { removeImage, withoutNone } from "./image-list";
import type { Images } from "./images";

/** Repository of the empty images that are imported on engines without any image. They are removed by those who import them. */
export const EMPTY_IMAGE = "docker-server-empty";

/** A run has asked for its image and creates its container within this time: the image is kept meanwhile. */
const ABOUT_TO_BE_USED_MS = 60_000;

export interface Pruned {
  images: { id: string; names: string[]; size: number }[];
  /** bytes of build cache that were removed */
  build_cache: number;
}

/** Removes images that no container uses, whatever its state, and build cache. */
export class ImagePruner {
  /** By image id: ms of `now` when the image was last seen in use, or else seen first. */
  private seenAt = new Map<string, number>();

  /** @param now ms of `performance.now()` */
  constructor(
    private readonly engine: Engine,
    private readonly images: Pick<Images, "lastUsedAt">,
    private readonly log: Logger,
    private readonly now = () => performance.now(),
  ) {}

  /**
   * Removes at once what is unused, except images that a run has asked for in the last minute.
   * @throws AppError ENGINE_UNREACHABLE
   */
  async pruneUnused(): Promise<Pruned> {
    return { images: await this.pruneImages(undefined), build_cache: await this.pruneBuildCache(undefined) };
  }

  /**
   * Removes what was unused for a time, now and every minute. An image that was unused when this process began counts from then.
   * @returns stops it
   */
  watch(keepMs: number): () => void {
    return sweepPeriodically(() => this.pruneUnusedFor(keepMs), this.log);
  }

  /** @throws AppError ENGINE_UNREACHABLE */
  async pruneUnusedFor(keepMs: number): Promise<void> {
    for (const { id, names, size } of await this.pruneImages(keepMs)) this.log.info("Unused image removed", { id, names, size });
    const bytes = await this.pruneBuildCache(keepMs);
    if (bytes > 0) this.log.info("Unused build cache removed", { bytes });
  }

  private async pruneImages(keepMs: number | undefined): Promise<Pruned["images"]> {
    await this.engine.assertAlive();
    const images = await this.engine.call((docker) => docker.listImages());
    // After the images: a container may be created in between.
    const containers = await this.engine.call((docker) => docker.listContainers({ all: true }));
    const used = new Set(containers.map(({ ImageID }) => ImageID));
    const now = this.now();
    this.seenAt = new Map(images.map(({ Id }) => [Id, used.has(Id) ? now : (this.seenAt.get(Id) ?? now)]));
    const pruned: Pruned["images"] = [];
    for (const { Id, RepoTags, RepoDigests, Size } of images) {
      const askedFor = now - (this.images.lastUsedAt(Id) ?? Number.NEGATIVE_INFINITY);
      const seen = now - (this.seenAt.get(Id) ?? now);
      if (used.has(Id) || askedFor < ABOUT_TO_BE_USED_MS) continue;
      if (keepMs !== undefined && Math.min(askedFor, seen) < keepMs) continue;
      const names = [...withoutNone(RepoTags), ...withoutNone(RepoDigests)];
      if (names.some((name) => name.startsWith(`${EMPTY_IMAGE}:`))) continue;
      const removed: string[] = [];
      for (const name of names.length > 0 ? names : [Id]) if (await this.removeUnused(name)) removed.push(name);
      if (removed.length > 0) pruned.push({ id: Id, names, size: Size });
    }
    return pruned;
  }

  /** Removes a name, or an image without one, unless a container uses it by now or it is the base of another image. */
  private async removeUnused(name: string): Promise<boolean> {
    return removeImage(this.engine, name, false).then(
      () => true,
      (error: unknown) => {
        if (isNotFound(error) || (error instanceof AppError && error.code === "IMAGE_IN_USE")) return false;
        throw error;
      },
    );
  }

  /** @returns bytes */
  private async pruneBuildCache(keepMs: number | undefined): Promise<number> {
    const filters = keepMs === undefined ? undefined : JSON.stringify({ until: [`${Math.ceil(keepMs / 1000)}s`] });
    try {
      const answer = await this.engine.stream("POST", "/build/prune", { query: { all: true, filters } });
      return (JSON.parse(await text(answer)) as { SpaceReclaimed?: number }).SpaceReclaimed ?? 0;
    } catch (error) {
      // An engine without a builder.
      if (isNotFound(error)) return 0;
      throw error;
    }
  }
}
