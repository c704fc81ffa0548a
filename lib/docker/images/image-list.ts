import { AppError } from "../../errors";
import type { Engine } from "../engine";

export interface ImageSummary {
  /** sha256:… */
  id: string;
  /** by which it can be named here */
  tags: string[];
  /** as its registries know it */
  digests: string[];
  /** bytes */
  size: number;
  /** ISO 8601 */
  created: string;
}

/** The images that are here, the newest first. */
export async function listImages(engine: Engine): Promise<ImageSummary[]> {
  await engine.assertAlive();
  const images = await engine.call((docker, abortSignal) => docker.listImages({ abortSignal }));
  const named = (names: string[] | null | undefined) => (names ?? []).filter((name) => !name.startsWith("<none>"));
  return images
    .sort((a, b) => b.Created - a.Created || (a.Id < b.Id ? -1 : 1))
    .map(({ Id, RepoTags, RepoDigests, Size, Created }) => ({
      id: Id,
      tags: named(RepoTags),
      digests: named(RepoDigests),
      size: Size,
      created: new Date(Created * 1000).toISOString(),
    }));
}

/**
 * Removes an image, or one of its names if it has more.
 * @param reference any, or an id
 * @param force also where stopped containers are made of it
 * @returns the names that it lost, and the ids of what is gone
 * @throws AppError IMAGE_NOT_FOUND, IMAGE_IN_USE
 */
export async function removeImage(engine: Engine, reference: string, force: boolean): Promise<{ untagged: string[]; deleted: string[] }> {
  await engine.assertAlive();
  try {
    const done = (await engine.call((docker, abortSignal) => docker.getImage(reference).remove({ force, abortSignal } as object))) as {
      Untagged?: string;
      Deleted?: string;
    }[];
    return { untagged: done.flatMap((each) => each.Untagged ?? []), deleted: done.flatMap((each) => each.Deleted ?? []) };
  } catch (error) {
    if (!(error instanceof AppError) || error.kind !== "conflict") throw error;
    throw new AppError("IMAGE_IN_USE", { message: error.message, details: { image: reference }, cause: error.cause });
  }
}
