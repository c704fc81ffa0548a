import type { ImageInfo } from "dockerode";
import { AppError } from "../../errors";
import type { Engine } from "../engine";

export interface ImageSummary {
  /** sha256:… */
  id: string;
  /** names on this host */
  tags: string[];
  /** names with the digest, in their registries */
  digests: string[];
  /** bytes */
  size: number;
  /** ISO 8601 */
  created: string;
}

/** The images of this host, newest first. */
export async function listImages(engine: Engine): Promise<ImageSummary[]> {
  await engine.assertAlive();
  const images = await engine.call((docker) => docker.listImages());
  return toImageSummaries(images);
}

/**
 * Orders the engine's list, newest first. An image whose content the containerd image store has only in part has no `Created`, and
 * counts as made in 1970.
 */
export function toImageSummaries(images: ImageInfo[]): ImageSummary[] {
  const createdAt = ({ Created }: ImageInfo) => Created ?? 0;
  return images
    .sort((a, b) => createdAt(b) - createdAt(a) || (a.Id < b.Id ? -1 : 1))
    .map((image) => ({
      id: image.Id,
      tags: withoutNone(image.RepoTags),
      digests: withoutNone(image.RepoDigests),
      size: image.Size ?? 0,
      created: new Date(createdAt(image) * 1000).toISOString(),
    }));
}

/**
 * Removes an image, or only the given name if it has others.
 * @param reference a reference or an id
 * @param force also if stopped containers use it
 * @returns the removed names, and the ids of the removed images and layers
 * @throws AppError IMAGE_NOT_FOUND, IMAGE_IN_USE
 */
export async function removeImage(engine: Engine, reference: string, force: boolean): Promise<{ untagged: string[]; deleted: string[] }> {
  await engine.assertAlive();
  try {
    const removed = (await engine.call((docker) => docker.getImage(reference).remove({ force }))) as {
      Untagged?: string;
      Deleted?: string;
    }[];
    return { untagged: removed.flatMap((each) => each.Untagged ?? []), deleted: removed.flatMap((each) => each.Deleted ?? []) };
  } catch (error) {
    if (!(error instanceof AppError) || error.kind !== "conflict") throw error;
    throw new AppError("IMAGE_IN_USE", { message: error.message, details: { image: reference }, cause: error.cause });
  }
}

/** An image's tags or digests, without the engine's placeholders for none. */
export const withoutNone = (names: string[] | null | undefined) => (names ?? []).filter((name) => !name.startsWith("<none>"));
